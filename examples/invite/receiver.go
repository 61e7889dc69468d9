package main

import (
	"errors"
	"log/slog"
	"net"

	"example.com/callparams"
	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

func init() {
	// Of its own accord, sipgo logs the messages that it cannot read, with all they hold.
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
}

// An incoming call is what the receiving side knows of a call before it answers.
type incoming struct {
	Invite       *sip.Request
	Caller       string // the user of the From header, decoded
	SourceDomain string // what the X-Source-Domain header says, if there is one
}

// screen checks who sends the INVITE. The vendor writes a host of its own into the From header, whatever the
// domain of the customer is: an endpoint that checks domains must trust the vendor's, and finds the
// customer's in the X-Source-Domain header. Anybody can write both: in production, accept INVITEs from the
// vendor's IP addresses only.
func screen(invite *sip.Request) (incoming, error) {
	from, err := callparams.ParseSIPURI(invite.From().Address.String())
	if err != nil || !callparams.IsTwilioHost(from.Host) {
		return incoming{}, errors.New("the call is not from the vendor")
	}
	in := incoming{Invite: invite, Caller: from.User}
	if domain := invite.GetHeader(callparams.SourceDomainHeader); domain != nil {
		in.SourceDomain = domain.Value()
	}
	return in, nil
}

// A receiver is a SIP endpoint that answers what screen lets pass with 200, and the rest with 403.
type receiver struct {
	Addr string // where it listens, such as 127.0.0.1:5060

	agent *sipgo.UserAgent
	conn  net.PacketConn
}

// listen starts a receiver on a free port of the loopback interface. It calls answered, from any goroutine,
// when it has answered a call and the caller knows.
func listen(answered func(incoming)) (*receiver, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	agent, err := sipgo.NewUA()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &receiver{conn.LocalAddr().String(), agent, conn}
	if err := r.serve(answered); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *receiver) serve(answered func(incoming)) error {
	client, err := sipgo.NewClient(r.agent)
	if err != nil {
		return err
	}
	server, err := sipgo.NewServer(r.agent)
	if err != nil {
		return err
	}
	contact := sip.ContactHeader{Address: sip.Uri{Host: "127.0.0.1", Port: r.conn.LocalAddr().(*net.UDPAddr).Port}}
	dialogs := sipgo.NewDialogServerCache(client, contact)
	server.OnInvite(logged(func(invite *sip.Request, tx sip.ServerTransaction) error {
		dialog, err := dialogs.ReadInvite(invite, tx)
		if err != nil {
			return errors.Join(err, tx.Respond(sip.NewResponseFromRequest(invite, sip.StatusBadRequest, "Bad Request", nil)))
		}
		defer func() { _ = dialog.Close() }()
		in, err := screen(invite)
		if err != nil {
			return errors.Join(err, dialog.Respond(sip.StatusForbidden, "Forbidden", nil))
		}
		if err := dialog.Respond(sip.StatusOK, "OK", nil); err != nil {
			return err
		}
		answered(in)
		<-dialog.Context().Done() // the caller hung up
		return nil
	}))
	server.OnAck(logged(dialogs.ReadAck))
	server.OnBye(logged(dialogs.ReadBye))
	go func() { _ = server.ServeUDP(r.conn) }() // until conn is closed
	return nil
}

// logged logs what handle returns: the one who sent the request learns no more than the status.
func logged(handle func(*sip.Request, sip.ServerTransaction) error) sipgo.RequestHandler {
	return func(request *sip.Request, tx sip.ServerTransaction) {
		if err := handle(request, tx); err != nil {
			slog.Warn("request refused", "method", request.Method, "err", err)
		}
	}
}

// close stops listening and ends what is under way.
func (r *receiver) close() {
	_ = r.agent.Close()
	_ = r.conn.Close()
}
