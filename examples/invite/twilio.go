package main

import (
	"context"
	"errors"

	"example.com/callparams"
	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// place places call as Twilio does, with fromHost as the host of the From header. When the call
// is answered, place runs talk and then hangs up. If the call is refused, the error is a
// *sipgo.ErrDialogResponse.
//
// place sends every message to proxy, because To cannot contain the address of the receiver:
// Twilio does not dial loopback addresses. The transport is UDP, over which sipgo refuses to send
// an INVITE of more than 1,300 bytes.
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
	client, err := sipgo.NewClient(agent,
		sipgo.WithClientHostname("127.0.0.1"), sipgo.WithClientConnectionAddr("127.0.0.1:0"))
	if err != nil {
		return err
	}
	contact := sip.ContactHeader{Address: sip.Uri{Host: "127.0.0.1"}}
	dialogs := sipgo.DialogUA{Client: client, ContactHDR: contact}
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

// newInvite returns the INVITE for call. As RFC 3261, section 19.1.5, says, it removes the
// headers of To from the Request-URI and adds them to the INVITE, decoded.
func newInvite(call callparams.Call, fromHost string) (*sip.Request, error) {
	to, ok := call.To().SIPURI()
	if !ok {
		return nil, errors.New("invite: To must be a SIP URI")
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
	tag := sip.HeaderParams{{K: "tag", V: sip.GenerateTagN(16)}}
	invite.AppendHeader(&sip.FromHeader{Address: caller, Params: tag})
	for _, h := range headers {
		invite.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	return invite, nil
}
