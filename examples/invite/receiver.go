package main

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"

	"example.com/callparams"
	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

func init() {
	// By default, sipgo logs the whole text of a message that it cannot read.
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
}

// An incoming holds what the receiving side knows about a call before it answers.
type incoming struct {
	Invite       *sip.Request
	Caller       string // the user in the From header, decoded
	SourceDomain string // the value of the X-Source-Domain header, or ""
}

// screen checks who sends the INVITE. Twilio writes its own host into the From header, whatever
// domain the customer has. An endpoint that checks domains must therefore trust Twilio's hosts.
// The customer's domain is in the X-Source-Domain header.
//
// There is one exception: a call to a user who is registered at a Twilio SIP domain carries that
// domain in the From header. So screen also accepts the domains, which are its own customer's, and
// no other customer's. It refuses pstn.twilio.com: a call through an Elastic SIP Trunk is not a
// Create Call.
//
// Anybody can write both headers. In production, accept INVITEs only from Twilio's IP addresses.
func screen(invite *sip.Request, domains []string) (incoming, error) {
	from, err := callparams.ParseSIPURI(invite.From().Address.String())
	if err != nil {
		return incoming{}, err
	}
	isOwn := slices.ContainsFunc(domains, func(domain string) bool {
		return strings.EqualFold(strings.TrimSuffix(from.Host, "."), domain)
	})
	if !isOwn && !callparams.IsTwilioHost(from.Host) {
		return incoming{}, errors.New(
			"the host in the From header is neither Twilio's nor one of our domains")
	}
	in := incoming{Invite: invite, Caller: from.User}
	if source := invite.GetHeader(callparams.SourceDomainHeader); source != nil {
		in.SourceDomain = source.Value()
	}
	return in, nil
}

// A receiver is a SIP endpoint. It answers the calls that screen accepts with 200, and all other
// calls with 403.
type receiver struct {
	Addr string // where it listens, such as 127.0.0.1:5060

	agent *sipgo.UserAgent
	conn  net.PacketConn
}

// listen starts a receiver on a free port of the loopback interface. Its users are registered at
// the domains, which are Twilio SIP domains. The receiver calls answered, on any goroutine, after
// the caller has acknowledged the answer.
func listen(domains []string, answered func(incoming)) (*receiver, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	agent, err := sipgo.NewUA()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &receiver{conn.LocalAddr().String(), agent, conn}
	if err := r.serve(domains, answered); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *receiver) serve(domains []string, answered func(incoming)) error {
	client, err := sipgo.NewClient(r.agent)
	if err != nil {
		return err
	}
	server, err := sipgo.NewServer(r.agent)
	if err != nil {
		return err
	}
	port := r.conn.LocalAddr().(*net.UDPAddr).Port
	contact := sip.ContactHeader{Address: sip.Uri{Host: "127.0.0.1", Port: port}}
	dialogs := sipgo.NewDialogServerCache(client, contact)
	server.OnInvite(logged(func(invite *sip.Request, tx sip.ServerTransaction) error {
		dialog, err := dialogs.ReadInvite(invite, tx)
		if err != nil {
			bad := sip.NewResponseFromRequest(invite, sip.StatusBadRequest, "Bad Request", nil)
			return errors.Join(err, tx.Respond(bad))
		}
		defer func() { _ = dialog.Close() }()
		in, err := screen(invite, domains)
		if err != nil {
			return errors.Join(err, dialog.Respond(sip.StatusForbidden, "Forbidden", nil))
		}
		if err := dialog.Respond(sip.StatusOK, "OK", nil); err != nil {
			return err
		}
		answered(in)
		<-dialog.Context().Done() // until the caller hangs up
		return nil
	}))
	server.OnAck(logged(dialogs.ReadAck))
	server.OnBye(logged(dialogs.ReadBye))
	go func() { _ = server.ServeUDP(r.conn) }() // until close closes conn
	return nil
}

// logged logs the error that handle returns. The sender of the request learns only the status.
func logged(handle func(*sip.Request, sip.ServerTransaction) error) sipgo.RequestHandler {
	return func(request *sip.Request, tx sip.ServerTransaction) {
		if err := handle(request, tx); err != nil {
			slog.Warn("request refused", "method", request.Method, "err", err)
		}
	}
}

// close stops listening and ends the calls in progress.
func (r *receiver) close() {
	_ = r.agent.Close()
	_ = r.conn.Close()
}
