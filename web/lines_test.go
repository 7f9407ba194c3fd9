package web

import (
	"crypto/tls"
	"crypto/x509"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var leftOut = regexp.MustCompile(`msg="lines left out" of="?([^"=]+?)"? (?:action|reason)=(\S+) client=\S+ count=(\d+)`)

// counts is how many lines say text, and how many more were counted as left out of a kind.
func (f *fixture) counts(text, message, kind string) (written, skipped int) {
	log := f.log.String()
	for _, one := range leftOut.FindAllStringSubmatch(log, -1) {
		if one[1] == message && one[2] == kind {
			n, _ := strconv.Atoi(one[3])
			skipped += n
		}
	}
	return strings.Count(log, text), skipped
}

// Strangers write so many lines a second, and the rest is counted; what a client does is seen beside them.
func TestLinesOfStrangersAreBounded(t *testing.T) {
	f := start(t)
	w := &ways{f.signUp("testuser"), f.balance()}
	unknown := "01a00000-0000-7000-8000-000000000001"
	started := time.Now()
	const tries = 60
	for range tries {
		f.tokenFor(unknown, "wrong")
		w.knock(&tls.Config{InsecureSkipVerify: true})
	}
	f.tokenFor(w.uuid, w.key)
	seconds := int(time.Since(started).Seconds()) + 2
	for _, one := range []struct{ text, message, kind string }{
		{`msg="log-in failed" action=client.authenticate object=` + unknown, "log-in failed", "client.authenticate"},
		{`msg="refused connection"`, "refused connection", "no-cert"},
	} {
		var written, skipped int
		for deadline := time.Now().Add(dialTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if written, skipped = f.counts(one.text, one.message, one.kind); written+skipped == tries {
				break
			}
		}
		if written+skipped != tries || written > 5*seconds || seconds < 10 && skipped == 0 {
			t.Errorf("%s: %d lines and %d left out in %d s, want %d together", one.message, written, skipped, seconds, tries)
		}
	}
	if !strings.Contains(f.log.String(), "msg=log-in action=client.authenticate client="+w.uuid) {
		t.Errorf("the log-in that worked has no line:\n%s", f.log.String()[:min(3000, len(f.log.String()))])
	}
}

// However many revoke and read, the list is signed once a second, and has what was revoked before.
func TestRevocationListIsSignedOnceASecond(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c := f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	var serials []string
	for range 12 {
		_, serial := c.identity(id, "program")
		serials = append(serials, serial)
	}
	var mu sync.Mutex
	lists := map[string]bool{}
	started := time.Now()
	var running sync.WaitGroup
	for i, serial := range serials {
		running.Go(func() {
			time.Sleep(time.Duration(i) * 150 * time.Millisecond)
			c.revoke(id, serial, "")
			a := f.do("GET", "/api/v1/crl", nil)
			list, err := x509.ParseRevocationList([]byte(a.body))
			if err != nil {
				t.Error(err)
				return
			}
			found := false
			for _, entry := range list.RevokedCertificateEntries {
				found = found || strings.EqualFold(entry.SerialNumber.Text(16), strings.TrimLeft(serial, "0"))
			}
			if !found {
				t.Errorf("the list lacks %s, which was revoked before", serial)
			}
			mu.Lock()
			defer mu.Unlock()
			lists[a.body] = true
		})
	}
	running.Wait()
	if most := int(time.Since(started).Seconds()) + 1; len(lists) > most {
		t.Errorf("%d lists were signed in %v, want at most %d", len(lists), time.Since(started), most)
	}
}
