package web

import (
	"context"
	"crypto/tls"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/pki"
)

// oneSession is a client that keeps its first session and shows it each time, whatever became of it.
type oneSession struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
}

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.session != nil
}

func (s *oneSession) Put(_ string, session *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		s.session = session
	}
}

// With many live connections, a revocation closes them within a second, and nobody comes in after it.
func TestRevocationClosesAndRefuses(t *testing.T) {
	const live, tries = 1000, 1000
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "lost")
	other, _ := c.identity(id, "good")
	again := clientOf(cert)
	again.ClientSessionCache = &oneSession{}
	for i := range 2 {
		if resumed, err := f.echo(address, again); err != nil || resumed != (i == 1) {
			t.Fatalf("connection %d: resumed is %v, %v", i, resumed, err)
		}
	}
	programs := make([]program, live)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < live; i += 8 {
				programs[i] = f.connect(address, cert)
			}
		})
	}
	group.Wait()
	stays := f.connect(address, other)

	done := c.revoke(id, strings.ToUpper("00"+serial), "?reason=key-compromise")
	if done["revoked"] != 1.0 || done["closed"] != float64(live) || done["tookMs"].(float64) >= 1000 {
		t.Errorf("%v, want %d connections closed in less than a second", done, live)
	}
	for i := range tries {
		if resumed, err := f.echo(address, again); err == nil || !resumed {
			t.Fatalf("try %d after the revocation: resumed is %v, %v", i, resumed, err)
		}
	}
	for i, p := range programs {
		p.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := p.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Fatalf("connection %d is still open: %v", i, err)
		}
	}
	if !stays.works() {
		t.Error("the connection of another certificate was closed")
	}
	a := c.call("GET", "/api/v1/client/frontend/"+id+"/certificates/"+serial, "").object(t)
	if a["revoked"] != true || a["reason"] != "key-compromise" || a["revokedAt"] == nil {
		t.Errorf("got %v, want a revoked certificate with its reason and time", a)
	}
	if again := c.revoke(id, serial, ""); again["revoked"] != 0.0 || again["closed"] != 0.0 {
		t.Errorf("the second time: %v", again)
	}
}

// However a revocation and a connection meet, nothing that is sent after the revocation has returned comes
// back, and nobody comes in any more. XLB_RACE says how often they meet.
func TestRevocationMeetsConnections(t *testing.T) {
	meetings := 50
	if n, err := strconv.Atoi(os.Getenv("XLB_RACE")); err == nil {
		meetings = n
	}
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	ctx := control.WithActor(t.Context(), control.Actor{ClientID: c.uuid})
	served, refused := 0, 0
	for i := range meetings {
		cert, serial := c.record(id)
		for f.inForce(ctx) != 1 {
			time.Sleep(100 * time.Microsecond)
		}
		revoked := make(chan error, 1)
		go func() {
			time.Sleep(time.Duration(i%40) * 100 * time.Microsecond) // from before the hello to after the first byte
			_, err := f.control.RevokeCertificate(ctx, id, serial, control.Revocation{})
			revoked <- err
		}()
		if i%2 == 1 { // on a slow disk all would be served before it
			time.Sleep(time.Duration(i%20) * time.Millisecond)
		}
		conn, err := tls.Dial("tcp", address, clientOf(cert))
		p := program{Conn: conn}
		if came := err == nil && p.works(); came {
			served++
		} else {
			refused++
		}
		must(t, <-revoked)
		if err == nil {
			if p.works() {
				t.Fatalf("meeting %d: a connection outlived the revocation", i)
			}
			conn.Close()
		}
		if _, err := f.echo(address, clientOf(cert)); err == nil {
			t.Fatalf("meeting %d: served after the revocation", i)
		}
	}
	t.Logf("%d were served before the revocation, %d were not", served, refused)
	if meetings >= 50 && (served == 0 || refused == 0) {
		t.Error("they met at one moment only")
	}
}

// inForce is how many certificates of the actor the data plane knows and lets in.
func (f *fixture) inForce(ctx context.Context) int {
	usage, err := f.control.Usage(ctx)
	must(f.T, err)
	for _, u := range usage {
		if u.Name == "certificates" {
			return u.Used
		}
	}
	return -1
}

// A connection ends when its certificate does, and the certificate opens nothing afterwards.
func TestConnectionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()           // it waits most of the time
	var ahead atomic.Int64 // what the server's clock is ahead of ours; the least lifetime is a minute
	f := start(t, func(cfg *control.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	ahead.Store(int64(-58 * time.Second))
	cert, _ := c.identityFor(id, `{"keyType":"ecdsa-p256","lifetimeSec":60}`)
	ahead.Store(0)
	end := cert.Leaf.NotAfter
	again := clientOf(cert)
	again.ClientSessionCache = &oneSession{}
	if _, err := f.echo(address, again); err != nil {
		t.Fatal(err)
	}
	p := f.connect(address, cert)
	p.ends(t)
	if late := time.Since(end); late < 0 || late > 2*time.Second {
		t.Errorf("it ended %v after its certificate", late)
	}
	if _, err := f.echo(address, again); err == nil {
		t.Error("an expired certificate came back by its session")
	}
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("an expired certificate was let in")
	}
}

func TestRevocationGivesTime(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "old")
	p := f.connect(address, cert)
	if done := c.revoke(id, serial, "?drain=1&reason=superseded"); done["closed"] != 1.0 {
		t.Errorf("got %v, want one closed", done)
	}
	if !p.works() {
		t.Error("the connection had no time")
	}
	if _, err := f.echo(address, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}); err == nil {
		t.Error("a new connection came in")
	}
	p.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("it is still open after its time: %v", err)
	}
}

func TestRevokeEverythingIssuedBefore(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	old, _ := c.identity(id, "one")
	c.identity(id, "two")
	time.Sleep(10 * time.Millisecond) // the clock of the records has to move
	moment := time.Now().UTC().Format(time.RFC3339Nano)
	young, _ := c.identity(id, "three")
	programs := []program{f.connect(address, old), f.connect(address, young)}
	a := c.call("DELETE", "/api/v1/client/frontend/"+id+"/certificates?issuedBefore="+moment, "")
	if done := a.object(t); a.status != 200 || done["revoked"] != 2.0 || done["closed"] != 1.0 {
		t.Errorf("got %d %s, want 200 with 2 revoked and 1 closed", a.status, a.body)
	}
	if programs[0].works() || !programs[1].works() {
		t.Error("the old one should be closed, the young one open")
	}
}

func TestRevocationsThatAreWrong(t *testing.T) {
	f := start(t)
	c, stranger := f.signUp("testuser"), f.signUp("stranger")
	id := c.frontend("10.0.0.1:80")
	_, serial := c.identity(id, "mine")
	path := "/api/v1/client/frontend/" + id + "/certificates"
	for _, wrong := range []struct {
		url, location string
		status        int
	}{
		{path + "/" + serial + "?reason=boredom", "query.reason", 422}, {path + "/" + serial + "?drain=-1", "query.drain", 422},
		{path + "/" + serial + "?drain=86401", "query.drain", 422}, {path, "query.issuedBefore", 422},
		{path + "?issuedBefore=yesterday", "query.issuedBefore", 422}, {path + "/ffff", "", 404}, {path + "/nonsense", "", 404},
	} {
		wantProblem(t, c.call("DELETE", wrong.url, ""), wrong.status, wrong.location)
	}
	missing := stranger.call("DELETE", "/api/v1/client/frontend/"+id+"/certificates/ffff", "")
	foreign := stranger.call("DELETE", path+"/"+serial, "")
	if missing.status != 404 || foreign.status != 404 {
		t.Errorf("another client's: %d and %d", missing.status, foreign.status)
	}
	if a := c.call("GET", path+"/"+serial, "").object(t); a["revoked"] != false {
		t.Errorf("got %v, want a good one", a)
	}
}

// The page says what will be closed, and then what was.
func TestRevokePageWithoutScripts(t *testing.T) {
	f := start(t)
	c, stranger, address := f.signUp("testuser"), f.signUp("stranger"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "laptop")
	cookie, page := f.cookieOf(c), "/frontends/"+id+"/certificates/"+serial+"/revoke"
	programs := []program{f.connect(address, cert), f.connect(address, cert)}
	if list := f.do("GET", "/certificates", nil, "Cookie", cookie).body; !strings.Contains(list, `href="`+page+`"`) || !strings.Contains(list, "laptop") {
		t.Error("the list does not lead to it")
	}
	asked := f.do("GET", page, nil, "Cookie", cookie)
	for _, words := range []string{"Revoke “laptop”?", serial, "Close all 2 now", "Keep it"} {
		if asked.status != 200 || !strings.Contains(asked.body, words) {
			t.Errorf("%d, the page does not say %q", asked.status, words)
		}
	}
	if !programs[0].works() {
		t.Error("asking closed a connection")
	}
	for _, a := range []answer{f.do("GET", page, nil, "Cookie", f.cookieOf(stranger)), f.postForm(page, "drain=0", "Cookie", f.cookieOf(stranger))} {
		if a.status != 404 {
			t.Errorf("another client: %d, want 404", a.status)
		}
	}
	if a := f.postForm(page, "drain=0&reason=boredom", "Cookie", cookie); a.status != 422 {
		t.Errorf("a wrong reason: %d, want 422", a.status)
	}
	a := f.postForm(page, "drain=0&reason=superseded", "Cookie", cookie)
	if a.status != 303 {
		t.Fatalf("%d %s, want 303", a.status, a.body)
	}
	for _, p := range programs {
		p.ends(t)
	}
	after := f.follow(a, cookie).body
	if !strings.Contains(after, "Revoked. 2 connections closed in ") {
		t.Errorf("got %s, want a page that says how many were closed", after)
	}
	if strings.Contains(after, page) {
		t.Error("what is revoked can be revoked once more")
	}
}

// Everything that was issued before a moment goes by the page too, which first says what that is.
func TestRevokeBeforePageWithoutScripts(t *testing.T) {
	f := start(t)
	c, stranger, address := f.signUp("testuser"), f.signUp("stranger"), f.balance()
	id := c.frontend(echoes(t))
	old, _ := c.identity(id, "one")
	c.identity(id, "two")
	time.Sleep(10 * time.Millisecond)
	moment := time.Now().UTC().Format(time.RFC3339Nano)
	young, _ := c.identity(id, "three")
	cookie, page := f.cookieOf(c), "/frontends/"+id+"/certificates/revoke"
	programs := []program{f.connect(address, old), f.connect(address, young)}
	says := func(a answer, status int, words ...string) {
		t.Helper()
		for _, w := range words {
			if a.status != status || !strings.Contains(a.body, w) {
				t.Errorf("%d, the page does not say %q", a.status, w)
			}
		}
	}
	says(f.do("GET", "/frontends/"+id, nil, "Cookie", cookie), 200, `href="`+page+`"`)
	says(f.do("GET", page, nil, "Cookie", cookie), 200, "Revoke everything issued before…", `name="before"`)
	says(f.do("GET", page+"?before="+moment, nil, "Cookie", cookie), 200, "Revoke 2 certificates?", "Close all 1 now", "Keep them")
	says(f.do("GET", page+"?before=2000-01-01T00:00:00Z", nil, "Cookie", cookie), 200, "No certificate of")
	says(f.do("GET", page+"?before=yesterday", nil, "Cookie", cookie), 422, "Use a date and time such as")
	says(f.postForm(page, "before=yesterday", "Cookie", cookie), 422, "Use a date and time such as")
	if a := f.postForm(page, "before="+moment, "Cookie", f.cookieOf(stranger)); a.status != 404 {
		t.Errorf("another client: %d, want 404", a.status)
	}
	if !programs[0].works() {
		t.Error("asking closed a connection")
	}
	a := f.postForm(page, "drain=0&reason=superseded&before="+moment, "Cookie", cookie)
	says(f.follow(a, cookie), 200, "Revoked 2 certificates. 1 connection closed in ")
	programs[0].ends(t)
	if !programs[1].works() {
		t.Error("a younger one was closed")
	}
}

// The page of one certificate shows what is known of it and renews it.
func TestCertificatePageWithoutScripts(t *testing.T) {
	f := start(t)
	c, stranger, address := f.signUp("testuser"), f.signUp("stranger"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "laptop")
	cookie, page := f.cookieOf(c), "/frontends/"+id+"/certificates/"+serial
	f.connect(address, cert)
	if list := f.do("GET", "/certificates", nil, "Cookie", cookie).body; !strings.Contains(list, `href="`+page+`"`) {
		t.Error("the list does not lead to it")
	}
	a := f.do("GET", page, nil, "Cookie", cookie)
	for _, words := range []string{"“laptop”", serial, pki.Fingerprint(cert.Leaf), "ecdsa-p256", "1 connection open with it.", page + "/renew", page + "/revoke"} {
		if a.status != 200 || !strings.Contains(a.body, words) {
			t.Errorf("%d, the page does not say %q", a.status, words)
		}
	}
	for _, other := range []answer{f.do("GET", page, nil, "Cookie", f.cookieOf(stranger)), f.postForm(page+"/renew", "", "Cookie", f.cookieOf(stranger)), f.do("GET", page[:len(page)-1], nil, "Cookie", cookie)} {
		if other.status != 404 {
			t.Errorf("another client's, or one that there is not: %d, want 404", other.status)
		}
	}
	bundle := f.postForm(page+"/renew", "", "Cookie", cookie)
	if bundle.status != 200 || bundle.header.Get("Content-Type") != "application/zip" || bundle.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", bundle.status, bundle.header)
	}
	items := c.call("GET", "/api/v1/client/frontend/"+id+"/certificates", "").object(t)["items"].([]any)
	next := ""
	for _, item := range items {
		if one := item.(map[string]any); one["renews"] == serial && one["name"] == "laptop" {
			next = one["serial"].(string)
		}
	}
	if len(items) != 2 || next == "" {
		t.Fatalf("got %v, want 2 and a next page", items)
	}
	if a := f.do("GET", "/frontends/"+id+"/certificates/"+next, nil, "Cookie", cookie); !strings.Contains(a.body, "Follows") || !strings.Contains(a.body, page) {
		t.Error("the new one does not lead to the old one")
	}
	c.revoke(id, serial, "?reason=superseded")
	a = f.do("GET", page, nil, "Cookie", cookie)
	if !strings.Contains(a.body, "replaced by a newer one") || strings.Contains(a.body, page+"/renew") {
		t.Error("the page of a revoked certificate offers to renew it, or does not say why it was revoked")
	}
}
