package main

import (
	"context"
	"errors"

	"example.com/callparams"
	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// place places call as the vendor does, with fromHost for its host. When it is answered, place calls talk and
// then hangs up; if it is refused, place fails with a *sipgo.ErrDialogResponse.
//
// All goes to the proxy: the vendor dials no loopback address, so that no To can name one. It goes over UDP, where
// sipgo sends no INVITE of more than 1,300 bytes.
func place(ctx context.Context, call callparams.Call, fromHost, proxy string, talk func()) error {
	invite, err := newInvite(call, fromHost)
	if err != nil {
		return err
	}
	invite.SetTransport("UDP")
	invite.SetDestination(proxy)

	agent, err := sipgo.NewUA()
	if err != nil {
		return err
	}
	defer func() { _ = agent.Close() }()
	client, err := sipgo.NewClient(agent, sipgo.WithClientHostname("127.0.0.1"), sipgo.WithClientConnectionAddr("127.0.0.1:0"))
	if err != nil {
		return err
	}
	dialogs := sipgo.DialogUA{Client: client, ContactHDR: sip.ContactHeader{Address: sip.Uri{Host: "127.0.0.1"}}}
	dialog, err := dialogs.WriteInvite(ctx, invite)
	if err != nil {
		return err
	}
	if err := dialog.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		return err
	}
	if err := dialog.Ack(ctx); err != nil {
		return err
	}
	talk()
	return dialog.Bye(ctx)
}

// newInvite returns the INVITE of call. The headers of To leave the Request-URI and become headers of the
// INVITE, decoded: RFC 3261, section 19.1.5.
func newInvite(call callparams.Call, fromHost string) (*sip.Request, error) {
	to, ok := call.To().SIPURI()
	if !ok {
		return nil, errors.New("invite: To is no SIP URI")
	}
	headers := to.Headers
	to.Headers = nil
	var target, caller sip.Uri
	if err := sip.ParseUri(to.String(), &target); err != nil {
		return nil, err
	}
	from := callparams.SIPURI{User: call.From().User(), Host: fromHost}
	if err := sip.ParseUri(from.String(), &caller); err != nil {
		return nil, err
	}
	invite := sip.NewRequest(sip.INVITE, target)
	invite.AppendHeader(&sip.FromHeader{Address: caller, Params: sip.HeaderParams{{K: "tag", V: sip.GenerateTagN(16)}}})
	for _, h := range headers {
		invite.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	return invite, nil
}
