package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrPathLength is an authority whose certificate permits no other authority below it (RFC 5280, section 4.2.1.9), as
// the first ones that XLB made and many intermediates of companies.
var ErrPathLength = errors.New("the authority's certificate permits no authority below it")

// CrossSign makes a certificate for the root of another authority, so that programs which trust only this one can check what
// the other has issued. It has the name and the key of that root, is good for servers alone, and ends with the first of the
// two. It certifies the root, and not the authority below it, because OpenSSL looks at one way up only: with two certificates
// of one authority in a chain, one of them leads nowhere.
func (a *Authority) CrossSign(other *Authority, now time.Time) (*x509.Certificate, error) {
	root := other.Root()
	switch {
	case !permitted(append([]*x509.Certificate{root}, append(a.Chain(), a.Root())...), len(other.above)):
		return nil, ErrPathLength
	case !now.Before(a.cert.NotAfter) || !now.Before(root.NotAfter):
		return nil, ErrAuthorityDates
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), RawSubject: root.RawSubject, SubjectKeyId: root.SubjectKeyId,
		NotBefore: latest(a.cert.NotBefore, root.NotBefore), NotAfter: earliest(a.cert.NotAfter, root.NotAfter),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, root.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the other authority: %w", err)
	}
	return x509.ParseCertificate(der)
}

// permitted tells whether authorities, each certified by the one after it, permit that many below them: below is how many
// there are under the first (RFC 5280, section 4.2.1.9).
func permitted(chain []*x509.Certificate, below int) bool {
	for i, cert := range chain {
		if cert.BasicConstraintsValid && cert.MaxPathLen >= 0 && cert.MaxPathLen < below+i {
			return false
		}
	}
	return true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// State is what an authority of a [Set] is for.
type State string

// States of an authority.
const (
	Next     State = "next"     // trusted, and has not issued yet
	Current  State = "current"  // issues; there is one
	Retiring State = "retiring" // trusted, and issues no more
	Retired  State = "retired"  // no more trusted
)

// Trusted tells whether what such an authority has issued is accepted.
func (s State) Trusted() bool { return s != Retired }

// Member is an authority of a set.
type Member struct {
	*Authority
	State State
	// Outside: its owner keeps the key, which belongs into no file and no backup of ours.
	Outside bool
	// Crossed has the root of the authority certified by others of the set, by their ids.
	Crossed map[string]*x509.Certificate
}

// Set is the authorities of a server: the one that issues, and those that come before and after it. It is not changed.
type Set []Member

// In returns those of some states, in the order of the states.
func (s Set) In(states ...State) (found []Member) {
	for _, state := range states {
		for _, m := range s {
			if m.State == state {
				found = append(found, m)
			}
		}
	}
	return found
}

// Current is the one that issues; nil when there is none.
func (s Set) Current() *Authority {
	for _, m := range s.In(Current) {
		return m.Authority
	}
	return nil
}

// Trusted are those whose certificates are accepted, the one that issues first.
func (s Set) Trusted() []Member { return s.In(Current, Next, Retiring) }

// Get returns an authority of the set by its id.
func (s Set) Get(id string) (Member, bool) {
	i := slices.IndexFunc(s, func(m Member) bool { return m.ID() == id })
	if i < 0 {
		return Member{}, false
	}
	return s[i], true
}

// TrustPEM is what programs have to trust: the roots of all that are trusted, that of the one that issues first, because
// some programs read the first certificate of a file only.
func (s Set) TrustPEM() []byte {
	var text []byte
	for _, m := range s.Trusted() {
		if one := EncodeCertificate(m.Root()); !bytes.Contains(text, one) {
			text = append(text, one...)
		}
	}
	return text
}

// Issuer is an authority that issues the certificates of listeners, and what they present beside them.
type Issuer struct {
	*Authority
	Chain []*x509.Certificate
	// Stranded are authorities whose programs cannot check these certificates, unless they trust another one too.
	Stranded []string
}

// Server chooses the authority of the listeners' own certificates, so that a program which trusts only one of the
// authorities that were ever in use can check them. It is the current one, certified by the others. Where one of those
// permits no authority below it, it may be an older one, certified by the current.
func (s Set) Server(now time.Time) Issuer {
	var best Issuer
	for _, m := range s.In(Current, Retiring) {
		if !m.CanSign() || !now.Before(m.cert.NotAfter) {
			continue
		}
		if one := s.issuer(m, now); best.Authority == nil || len(one.Stranded) < len(best.Stranded) {
			best = one
		}
	}
	if best.Authority == nil { // it has expired, and says so when it is asked to sign
		return Issuer{Authority: s.Current()}
	}
	return best
}

// issuer is a member with a way up to another one: to the youngest that it has one to. A third one is stranded, because GnuTLS
// does not find an authority that is trusted in the middle of a chain.
func (s Set) issuer(m Member, now time.Time) Issuer {
	one := Issuer{Authority: m.Authority, Chain: m.Chain()}
	others := s.In(Current, Retiring)
	slices.SortStableFunc(others, func(a, b Member) int { return b.Root().NotBefore.Compare(a.Root().NotBefore) })
	crossed := false
	for _, other := range others {
		if other.ID() == m.ID() || !now.Before(other.Root().NotAfter) || other.Root().Equal(m.Root()) {
			continue
		}
		cross := m.Crossed[other.ID()]
		if cross == nil || crossed {
			one.Stranded = append(one.Stranded, other.ID())
			continue
		}
		one.Chain = append(append(one.Chain, cross), other.Chain()...)
		crossed = true
	}
	return one
}

// Introduce adds an authority to a set as the next one. It and the others certify each other as far as they can.
func (s Set) Introduce(fresh Member, now time.Time) (Set, error) {
	a := fresh.Authority
	fresh.State = Next
	fresh.Crossed = map[string]*x509.Certificate{}
	var all Set
	for _, m := range s {
		if m.State.Trusted() {
			var err error
			if m.Crossed, err = crossed(m, a, now); err != nil {
				return nil, err
			}
			if fresh.Crossed, err = crossed(fresh, m.Authority, now); err != nil {
				return nil, err
			}
		}
		all = append(all, m)
	}
	return append(all, fresh), nil
}

// crossed is what a member has, with its key certified by another authority if that can.
func crossed(m Member, by *Authority, now time.Time) (map[string]*x509.Certificate, error) {
	all := map[string]*x509.Certificate{}
	for id, cert := range m.Crossed {
		all[id] = cert
	}
	if !by.CanSign() {
		return all, nil
	}
	cert, err := by.CrossSign(m.Authority, now)
	if errors.Is(err, ErrPathLength) || errors.Is(err, ErrAuthorityDates) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	all[by.ID()] = cert
	return all, nil
}
