package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
)

// roller is a server with a client that has a certificate, and who administers it.
type roller struct {
	*testing.T
	c                *Control
	operator, client context.Context
	frontend         string
	first            Authority
}

func newRoller(t *testing.T, options ...func(*Config)) *roller {
	c := start(t, options...)
	r := &roller{T: t, c: c, operator: WithActor(t.Context(), Actor{Operator: true, Via: "command"})}
	created, err := c.CreateClient(WithActor(t.Context(), Actor{Local: true}), "tenant", "")
	r.must(err)
	r.client = WithActor(t.Context(), Actor{ClientID: created.ID})
	spec := DefaultFrontend()
	spec.Routes = []Route{{Dest: "10.0.0.1:80"}}
	f, err := c.CreateFrontend(r.client, spec)
	r.must(err)
	r.frontend = f.ID
	r.first = r.list()[0]
	return r
}

func (r *roller) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *roller) list() []Authority {
	r.Helper()
	all, err := r.c.Authorities(r.operator)
	r.must(err)
	return all
}

func (r *roller) states() string {
	r.Helper()
	var all []string
	for _, a := range r.list() {
		all = append(all, a.State)
	}
	return strings.Join(all, " ")
}

func (r *roller) issue() *x509.Certificate {
	r.Helper()
	issued, err := r.c.IssueCertificate(r.client, r.frontend, IssueRequest{KeyType: "ecdsa-p256"})
	r.must(err)
	cert, err := pki.ParseCertificate(issued.CertificatePEM)
	r.must(err)
	return cert
}

func (r *roller) change(id, state string, anyway bool) {
	r.Helper()
	_, err := r.c.ChangeAuthority(r.operator, id, AuthorityChange{State: state, Anyway: anyway})
	r.must(err)
}

// refused is a change that must not be made, and the word that its reason has.
func (r *roller) refused(kind Kind, word string, _ any, err error) {
	r.Helper()
	if KindOf(err) != kind || !strings.Contains(err.Error(), word) {
		r.Errorf("got %v of kind %d, want kind %d with %q", err, KindOf(err), kind, word)
	}
}

// opens is why a certificate opens nothing, empty when it does.
func (r *roller) opens(cert *x509.Certificate) string {
	_, reason := r.c.live.HolderOf(cert)
	return string(reason)
}

// An authority takes over from another, step by step, and back.
func TestAuthorityRollsOver(t *testing.T) {
	var kept []pki.Set
	r := newRoller(t, func(cfg *Config) {
		cfg.KeepAuthorities = func(all pki.Set) error { kept = append(kept, all); return nil }
	})
	old := r.issue()
	second, err := r.c.AddAuthority(r.operator)
	r.must(err)
	if r.states() != "current next" || strings.Count(string(r.c.AuthorityPEM()), "BEGIN") != 2 {
		t.Errorf("added: %s, %s", r.states(), r.c.AuthorityPEM())
	}
	if by := r.issue(); by.CheckSignatureFrom(r.c.issuer().Certificate()) != nil || r.c.issuer().ID() != r.first.ID {
		t.Error("the next one issues already")
	}

	r.change(second.ID, "current", false)
	young := r.issue()
	if r.states() != "retiring current" || r.c.issuer().ID() != second.ID || !strings.Contains(young.Issuer.String(), second.ID) {
		t.Errorf("used: %s, issued by %s", r.states(), young.Issuer)
	}
	if r.opens(old) != "" || r.opens(young) != "" {
		t.Errorf("both are good: %q, %q", r.opens(old), r.opens(young))
	}
	if list := r.list(); list[0].Certificates != 2 || list[0].LastExpiry.Before(old.NotAfter) || list[1].Certificates != 1 {
		t.Errorf("they have issued %+v", list)
	}
	if _, err := r.c.Certificate(r.client, r.frontend, pki.FormatSerial(old.SerialNumber)); err != nil {
		t.Errorf("a certificate of the old authority is not found: %v", err)
	}
	r.change(r.first.ID, "current", false) // a way back
	if r.states() != "current retiring" || r.opens(young) != "" {
		t.Errorf("back: %s, %q", r.states(), r.opens(young))
	}
	r.change(second.ID, "current", false)

	_, err = r.c.ChangeAuthority(r.operator, r.first.ID, AuthorityChange{State: "retired"})
	r.refused(KindConflict, "2 certificates of it are good", nil, err)
	r.change(r.first.ID, "retired", true)
	if r.opens(old) != string(live.ReasonRetired) || r.opens(young) != "" || strings.Count(string(r.c.AuthorityPEM()), "BEGIN") != 1 {
		t.Errorf("retired: %q, %q", r.opens(old), r.opens(young))
	}
	if cert, err := r.c.Certificate(r.client, r.frontend, pki.FormatSerial(old.SerialNumber)); err != nil || cert.State(true, time.Now()) != CertificateRetired {
		t.Errorf("its certificate is %+v, %v", cert, err)
	}
	r.change(r.first.ID, "retiring", false) // a way back
	if r.opens(old) != "" {
		t.Errorf("trusted again: %q", r.opens(old))
	}
	if len(kept) < 2 || kept[len(kept)-1].Current().ID() != second.ID {
		t.Errorf("kept %d times", len(kept))
	}
	if audits, err := r.c.OperatorAudits(r.operator, AuditQuery{}); err != nil || len(audits.Items) < 6 {
		t.Errorf("the trail: %+v, %v", audits, err)
	} else if one := audits.Items[0]; one.Action != string(actAuthorityTrust) || len(one.Changes) != 1 || string(one.Changes[0].After["authorities."+r.first.ID+".state"]) != `"retiring"` {
		t.Errorf("the newest is %+v", one)
	}
}

func TestAuthorityChangesThatAreRefused(t *testing.T) {
	r := newRoller(t)
	r.issue()
	tell := func(id, state string) (any, error) {
		return r.c.ChangeAuthority(r.operator, id, AuthorityChange{State: state})
	}
	try := func(kind Kind, word, id, state string) {
		t.Helper()
		_, err := tell(id, state)
		r.refused(kind, word, nil, err)
	}
	try(KindConflict, "Use another one first", r.first.ID, "retired")
	try(KindConflict, "It is trusted", r.first.ID, "retiring")
	try(KindInvalid, "Use current, retiring or retired", r.first.ID, "next")
	try(KindNotFound, "", "0123456789abcdef", "current")
	r.refused(KindConflict, "in use", nil, r.c.RemoveAuthority(r.operator, r.first.ID))
	second, err := r.c.AddAuthority(r.operator)
	r.must(err)
	_, err = r.c.AddAuthority(r.operator)
	r.refused(KindConflict, "next authority already", nil, err)
	r.must(r.c.RemoveAuthority(r.operator, second.ID))
	if r.states() != "current" {
		t.Errorf("removed: %s", r.states())
	}
	third, err := r.c.AddAuthority(r.operator)
	r.must(err)
	r.change(third.ID, "current", false)
	r.change(r.first.ID, "retired", true)
	try(KindConflict, "Trust it again first", r.first.ID, "current")
	r.refused(KindConflict, "on record", nil, r.c.RemoveAuthority(r.operator, r.first.ID))
	_, err = r.c.AddAuthority(r.client)
	r.refused(KindForbidden, "administrator", nil, err)
}

// A restart goes on with the authorities as they were, and another master key opens none of them.
func TestAuthoritiesSurviveARestart(t *testing.T) {
	var cfg Config
	r := newRoller(t, func(c *Config) { cfg = *c })
	second, err := r.c.AddAuthority(r.operator)
	r.must(err)
	r.change(second.ID, "current", false)
	certificate := func(c *Control) *x509.Certificate {
		cert, err := c.ServerCertificate(&tls.ClientHelloInfo{SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}})
		r.must(err)
		return cert.Leaf
	}
	before := certificate(r.c)
	again := run(t, cfg)
	if again.issuer().ID() != second.ID || !certificate(again).Equal(before) {
		t.Errorf("issued by %s, presents %s", again.issuer().ID(), certificate(again).Issuer)
	}
	cfg.Authority = nil
	if again := run(t, cfg); again.issuer().ID() != second.ID {
		t.Errorf("without files: issued by %s", again.issuer().ID())
	}
	other, err := pki.NewAuthority(time.Now())
	r.must(err)
	cfg.Authority = other
	if _, err := New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "none of those in the store") {
		t.Errorf("an authority that the store does not know: %v", err)
	}
}

// Each authority has a list of what was revoked of it, also when it is retired.
func TestRevocationListOfEachAuthority(t *testing.T) {
	r := newRoller(t)
	old := r.issue()
	second, err := r.c.AddAuthority(r.operator)
	r.must(err)
	r.change(second.ID, "current", false)
	young := r.issue()
	for _, cert := range []*x509.Certificate{old, young} {
		_, err := r.c.RevokeCertificate(r.client, r.frontend, pki.FormatSerial(cert.SerialNumber), Revocation{})
		r.must(err)
	}
	r.change(r.first.ID, "retired", true)
	for id, want := range map[string]*x509.Certificate{"": young, r.first.ID: old, second.ID: young} {
		der, err := r.c.CRL(t.Context(), id)
		r.must(err)
		list, err := x509.ParseRevocationList(der)
		r.must(err)
		if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(want.SerialNumber) != 0 {
			t.Errorf("%q: %d entries", id, len(list.RevokedCertificateEntries))
		}
		m, _ := r.c.set().Get(id)
		if id != "" && list.CheckSignatureFrom(m.Certificate()) != nil {
			t.Errorf("%q: signed by another", id)
		}
	}
	_, err = r.c.CRL(t.Context(), "0123456789abcdef")
	r.refused(KindNotFound, "", nil, err)
}
