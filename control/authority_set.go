package control

// This file reads the authorities from the store and writes them there; what the administrator does with them is in
// authority.go.

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// loadAuthorities reads the authorities. The first one comes from the configuration, and from then on the store has them all:
// they change together, while the server runs.
func (c *Control) loadAuthorities(ctx context.Context) error {
	all, err := c.store.Authorities(ctx)
	if errors.Is(err, store.ErrNotFound) {
		all, err = c.firstAuthority(ctx)
	}
	if err != nil {
		return err
	}
	if c.cfg.Outside != nil {
		if all, err = c.introduceOutside(ctx, all); err != nil {
			return fmt.Errorf("the authority from outside: %w", err)
		}
	}
	set, err := c.setOf(all)
	if err != nil {
		return err
	}
	if own := c.cfg.Authority; own != nil {
		if _, known := set.Get(own.ID()); !known {
			return fmt.Errorf("the authority in the data directory (%s) is none of those in the store; restore the files and the store from one backup", own.ID())
		}
	}
	if current := set.Current(); !current.CanSign() {
		return fmt.Errorf("the authority %s issues, and its key is not here; start with -ca-dir on it", current.ID())
	}
	return c.useAuthorities(set)
}

// introduceOutside lets the store know the authority from outside. The first time, it becomes the next one; later, its
// certificate may have been renewed.
func (c *Control) introduceOutside(ctx context.Context, all store.Authorities) (store.Authorities, error) {
	outside := c.cfg.Outside
	if err := outside.Try(c.serverNames(), c.cfg.Now()); err != nil {
		return all, err
	}
	if r, known := all.ByID[outside.ID()]; known && r.Certificate == string(outside.ChainPEM()) {
		return all, nil
	}
	all, _, err := c.store.ChangeAuthorities(ctx, func(all *store.Authorities) error {
		set, err := c.setOf(*all) // with the certificate of today
		if err != nil {
			return err
		}
		if _, known := set.Get(outside.ID()); !known {
			if set, err = c.introduce(set, pki.Member{Authority: outside, Outside: true}); err != nil {
				return err
			}
			c.log.Info("there is another authority", "id", outside.ID(), "to let it issue", "xlb admin authority use "+outside.ID())
		}
		return c.record(all, set)
	})
	return all, err
}

func (c *Control) firstAuthority(ctx context.Context) (store.Authorities, error) {
	first := pki.Member{Authority: c.cfg.Authority, State: pki.Current}
	if first.Authority == nil {
		first.Authority = c.cfg.Outside
		first.Outside = true
	}
	if first.Authority == nil {
		return store.Authorities{}, errors.New("no authority is given, and the store has none")
	}
	all, _, err := c.store.ChangeAuthorities(ctx, func(all *store.Authorities) error {
		if len(all.ByID) > 0 { // another process was first
			return nil
		}
		return c.record(all, pki.Set{first})
	})
	return all, err
}

// sealedAs is the name that the key of an authority is sealed with.
func sealedAs(id string) string { return "authority " + id }

// record writes a set as the store has it.
func (c *Control) record(into *store.Authorities, set pki.Set) error {
	before := into.ByID
	into.ByID = map[string]store.Authority{}
	now := c.cfg.Now().UTC()
	for _, m := range set {
		one, known := before[m.ID()]
		if !known {
			one.AddedAt = now
		}
		if !known && !m.Outside {
			key, err := m.KeyPEM()
			if err != nil {
				return err
			}
			one.Key = c.sealer.seal(sealedAs(m.ID()), key)
		}
		if one.State != string(m.State) {
			one.ChangedAt = now
		}
		one.State = string(m.State)
		one.Certificate = string(m.ChainPEM())
		one.Crossed = map[string]string{}
		for by, cert := range m.Crossed {
			one.Crossed[by] = string(pki.EncodeCertificate(cert))
		}
		into.ByID[m.ID()] = one
	}
	return nil
}

// setOf reads a set from what the store has.
func (c *Control) setOf(all store.Authorities) (pki.Set, error) {
	ids := slices.SortedFunc(maps.Keys(all.ByID), func(a, b string) int {
		return cmp.Or(all.ByID[a].AddedAt.Compare(all.ByID[b].AddedAt), cmp.Compare(a, b))
	})
	var set pki.Set
	for _, id := range ids {
		m, err := c.memberOf(id, all.ByID[id])
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", id, err)
		}
		set = append(set, m)
	}
	if set.Current() == nil {
		return nil, errors.New("the store has no authority that issues")
	}
	return set, nil
}

func (c *Control) memberOf(id string, r store.Authority) (m pki.Member, err error) {
	m = pki.Member{State: pki.State(r.State), Outside: len(r.Key) == 0, Crossed: map[string]*x509.Certificate{}}
	if m.Authority, err = c.authorityOf(id, r); err != nil {
		return m, err
	}
	for by, text := range r.Crossed {
		if m.Crossed[by], err = pki.ParseCertificate([]byte(text)); err != nil {
			return m, err
		}
	}
	return m, nil
}

// authorityOf is an authority with its key, if that is here.
func (c *Control) authorityOf(id string, r store.Authority) (*pki.Authority, error) {
	if len(r.Key) > 0 {
		key, err := c.sealer.open(sealedAs(id), r.Key)
		if err != nil {
			return nil, err
		}
		return pki.ParseAuthority([]byte(r.Certificate), key)
	}
	if outside := c.cfg.Outside; outside != nil && outside.ID() == id {
		return outside, nil
	}
	return pki.AuthorityOf([]byte(r.Certificate), nil)
}

// useAuthorities goes by a set from now on.
func (c *Control) useAuthorities(set pki.Set) error {
	var trusted, retired []*x509.Certificate
	for _, m := range set {
		if m.State.Trusted() {
			trusted = append(trusted, m.Certificate())
		} else {
			retired = append(retired, m.Certificate())
		}
	}
	c.verifier.SetIssuers(trusted, retired)
	c.authorities.Store(&set)
	if c.cfg.KeepAuthorities == nil {
		return nil
	}
	return c.cfg.KeepAuthorities(set)
}

// followAuthorities takes up what the store says of the authorities. What nobody can read changes nothing.
func (c *Control) followAuthorities(all store.Authorities) pki.Set {
	if len(all.ByID) == 0 {
		return c.set()
	}
	set, err := c.setOf(all)
	if err != nil {
		c.log.Error("the authorities stay as they were", "error", err)
		return c.set()
	}
	if err := c.useAuthorities(set); err != nil {
		c.log.Error("the files of the authority are those of before", "error", err)
	}
	if err := c.identity.Refresh(c.cfg.Now()); err != nil {
		c.log.Error("the ports present the certificate of before", "error", err)
	}
	return set
}

// set is the authorities as they are now.
func (c *Control) set() pki.Set { return *c.authorities.Load() }

// issuer is the authority that issues now.
func (c *Control) issuer() *pki.Authority { return c.set().Current() }

// AuthorityPEM is what clients have to trust: the certificate of the authority that issues, and of those beside it.
func (c *Control) AuthorityPEM() []byte { return c.set().TrustPEM() }
