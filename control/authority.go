package control

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// MaxAuthorities is how many a server has at most, retired ones too.
const MaxAuthorities = 8

// Authority is one of those that the server's certificates come from.
type Authority struct {
	ID, Name           string
	State              string // next, current, retiring or retired
	NotBefore          time.Time
	NotAfter           time.Time
	AddedAt, ChangedAt time.Time // ChangedAt: its state

	Certificates int       // of programs, that it has issued and that are neither revoked nor expired
	LastExpiry   time.Time // of the last of them, zero for none
	Records      int       // of certificates that it has issued, whatever became of them
	Servers      bool      // it issues the certificates of the ports
	Stranded     bool      // programs that trust only this one cannot check the ports
}

// Authorities lists the authorities in the order in which they came. For the administrator.
func (c *Control) Authorities(ctx context.Context) ([]Authority, error) {
	ctx, _, err := c.may(ctx, actAdminRead, "")
	if err != nil {
		return nil, err
	}
	all, err := c.store.Authorities(ctx)
	if err != nil {
		return nil, fromStore(err, "authority")
	}
	set, err := c.setOf(all)
	if err != nil {
		return nil, err
	}
	return c.authoritiesOf(all, set), nil
}

func (c *Control) authoritiesOf(all store.Authorities, set pki.Set) (list []Authority) {
	now := c.cfg.Now()
	issued := c.issuedBy(now)
	servers := set.Server(now)
	for _, m := range set {
		one := issued[m.ID()]
		one.ID = m.ID()
		one.Name = m.Certificate().Subject.String()
		one.State = string(m.State)
		one.NotBefore = m.Certificate().NotBefore
		one.NotAfter = m.Certificate().NotAfter
		one.AddedAt = all.ByID[m.ID()].AddedAt
		one.ChangedAt = all.ByID[m.ID()].ChangedAt
		one.Servers = m.ID() == servers.ID()
		one.Stranded = slices.Contains(servers.Stranded, m.ID())
		list = append(list, one)
	}
	return list
}

// issuedBy counts what each authority has issued.
func (c *Control) issuedBy(now time.Time) map[string]Authority {
	issued := map[string]Authority{}
	c.live.EachCertificate(func(key live.CertificateKey, cert *live.Certificate) {
		one := issued[key.Authority]
		one.Records++
		if !cert.Revoked && now.Before(cert.NotAfter) {
			one.Certificates++
			if cert.NotAfter.After(one.LastExpiry) {
				one.LastExpiry = cert.NotAfter
			}
		}
		issued[key.Authority] = one
	})
	return issued
}

// AddAuthority makes the authority that is to issue next. It is trusted from now on, here and by every program that fetches
// ca.pem, and issues nothing before it is used. For the administrator.
func (c *Control) AddAuthority(ctx context.Context) (_ Authority, err error) {
	ctx, a, err := c.may(ctx, actAuthorityAdd, "")
	if err != nil {
		return Authority{}, err
	}
	defer c.noteFailed(ctx, &err)
	fresh, err := pki.NewSuccessor(c.cfg.Now())
	if err != nil {
		return Authority{}, err
	}
	ctx = c.audited(ctx, a, actAuthorityAdd, fresh.ID())
	return c.changeAuthorities(ctx, fresh.ID(), func(set pki.Set) (pki.Set, error) {
		return c.introduce(set, pki.Member{Authority: fresh})
	})
}

// introduce adds the next authority.
func (c *Control) introduce(set pki.Set, fresh pki.Member) (pki.Set, error) {
	if len(set) >= MaxAuthorities {
		return nil, &Error{Kind: KindLimit, Message: fmt.Sprintf("There are %d authorities already. Remove one that is not needed first.", MaxAuthorities)}
	}
	if len(set.In(pki.Next)) > 0 {
		return nil, conflict("There is a next authority already. Use it, or remove it first.")
	}
	return set.Introduce(fresh, c.cfg.Now())
}

// AuthorityChange is what becomes of an authority.
type AuthorityChange struct {
	// State: current lets it issue, and the one that did retires. Retiring lets one that was retired be trusted again. Retired
	// takes the trust away: its certificates are refused, and their connections closed.
	State string
	// Anyway is for what turns programs away.
	Anyway bool
}

// ChangeAuthority moves an authority to another state. For the administrator.
func (c *Control) ChangeAuthority(ctx context.Context, id string, change AuthorityChange) (_ Authority, err error) {
	act := map[string]action{string(pki.Current): actAuthorityUse, string(pki.Retiring): actAuthorityTrust, string(pki.Retired): actAuthorityRetire}[change.State]
	if act == "" {
		act = actAuthorityUse
	}
	ctx, _, err = c.may(store.Urgent(ctx), act, id)
	if err != nil {
		return Authority{}, err
	}
	defer c.noteFailed(ctx, &err)
	return c.changeAuthorities(ctx, id, func(set pki.Set) (pki.Set, error) {
		i := slices.IndexFunc(set, func(m pki.Member) bool { return m.ID() == id })
		if i < 0 {
			return nil, notFound("authority")
		}
		switch pki.State(change.State) {
		case set[i].State:
			return set, nil
		case pki.Current:
			return c.useAuthority(set, i, change.Anyway)
		case pki.Retiring:
			return trustAuthority(set, i)
		case pki.Retired:
			return c.retireAuthority(set, i, change.Anyway)
		}
		return nil, invalid("state", "Use current, retiring or retired.")
	})
}

func (c *Control) useAuthority(set pki.Set, i int, anyway bool) (pki.Set, error) {
	now := c.cfg.Now()
	cert := set[i].Certificate()
	switch {
	case !set[i].State.Trusted():
		return nil, conflict("It is retired. Trust it again first, and let programs fetch ca.pem.")
	case !set[i].CanSign():
		return nil, conflict("Its key is not here. Start the server with -ca-dir on it.")
	case !now.Before(cert.NotAfter) || now.Before(cert.NotBefore):
		return nil, conflict("It has expired or is not valid yet.")
	}
	after := slices.Clone(set)
	for j := range after {
		if after[j].State == pki.Current {
			after[j].State = pki.Retiring
		}
	}
	after[i].State = pki.Current
	if stranded := after.Server(now).Stranded; len(stranded) > 0 && !anyway {
		return nil, conflict("Programs that trust only the authority %s could not check the server. Retire it first, or let them fetch ca.pem and say anyway.", stranded[0])
	}
	return after, nil
}

func trustAuthority(set pki.Set, i int) (pki.Set, error) {
	if set[i].State != pki.Retired {
		return nil, conflict("It is trusted. An authority retires when another one is used.")
	}
	after := slices.Clone(set)
	after[i].State = pki.Retiring
	return after, nil
}

func (c *Control) retireAuthority(set pki.Set, i int, anyway bool) (pki.Set, error) {
	if set[i].State == pki.Current {
		return nil, conflict("It issues now. Use another one first.")
	}
	if issued := c.issuedBy(c.cfg.Now())[set[i].ID()]; issued.Certificates > 0 && !anyway {
		return nil, conflict("%s of it %s good, the last until %s. The programs that use them would be turned away. Wait, or say anyway.",
			counted(issued.Certificates, "certificate"), map[bool]string{true: "is", false: "are"}[issued.Certificates == 1], issued.LastExpiry.UTC().Format("2 Jan 2006"))
	}
	after := slices.Clone(set)
	after[i].State = pki.Retired
	return after, nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func conflict(format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Message: fmt.Sprintf(format, args...)}
}

// RemoveAuthority throws an authority and its key away: one that was never used, or a retired one of which no certificate is on
// record any more. There is no way back. For the administrator.
func (c *Control) RemoveAuthority(ctx context.Context, id string) (err error) {
	ctx, _, err = c.may(ctx, actAuthorityRemove, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	_, err = c.changeAuthorities(ctx, "", func(set pki.Set) (pki.Set, error) {
		m, known := set.Get(id)
		switch {
		case !known:
			return nil, notFound("authority")
		case m.State == pki.Current || m.State == pki.Retiring:
			return nil, conflict("It is in use. Retire it first.")
		case c.issuedBy(c.cfg.Now())[id].Records > 0:
			return nil, conflict("Certificates of it are on record, for %d days after they expire.", int(store.KeepExpired/(24*time.Hour)))
		}
		return slices.DeleteFunc(slices.Clone(set), func(m pki.Member) bool { return m.ID() == id }), nil
	})
	return err
}

// changeAuthorities changes the set and returns one of it, when the change is in force.
func (c *Control) changeAuthorities(ctx context.Context, id string, change func(pki.Set) (pki.Set, error)) (Authority, error) {
	var set pki.Set
	all, rev, err := c.store.ChangeAuthorities(ctx, func(all *store.Authorities) error {
		before, err := c.setOf(*all)
		if err != nil {
			return err
		}
		if set, err = change(before); err != nil {
			return err
		}
		return c.record(all, set)
	})
	if err != nil {
		return Authority{}, fromStore(err, "authority")
	}
	if err := c.waitFor(ctx, rev); err != nil {
		return Authority{}, err
	}
	list := c.authoritiesOf(all, set)
	if i := slices.IndexFunc(list, func(a Authority) bool { return a.ID == id }); i >= 0 {
		return list[i], nil
	}
	return Authority{}, nil
}
