package system

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// loops is how many rounds a test goes: short, or as many as make check asks for.
func loops(short int) int {
	if n, err := strconv.Atoi(os.Getenv("XLB_LOOPS")); err == nil {
		return n
	}
	return short
}

// The disk becomes full, again and again, and the server ends in that, in order or not. Connections and reads go on, writes are
// refused with a reason, and nothing that was answered is lost.
func TestFullDiskAgainAndAgain(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=260m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(disk, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	c := s.signUp("testuser")
	bundle := c.bundle(c.frontend(greeter(t, "up")))
	type account struct{ uuid, key string }
	var answered []account
	signUp := func(name string) answer {
		t.Helper()
		a := s.call("POST", "/api/v1/client", "", map[string]any{"name": name})
		if a.status == 201 {
			v := a.json(t)
			answered = append(answered, account{v["uuid"].(string), v["key"].(string)})
		}
		return a
	}
	filler := filepath.Join(disk, "filler")
	for round := range loops(2) {
		for i := range 3 {
			if a := signUp(fmt.Sprintf("client %d %d", round, i)); a.status != 201 {
				t.Fatalf("round %d: with room: %d %s", round, a.status, a.body)
			}
		}
		fill(t, filler)
		refused := answer{}
		for i := 0; i < 50 && refused.status != 503 && refused.status != 507; i++ { // it looks at the disk now and then
			refused = signUp(fmt.Sprintf("more %d %d", round, i))
		}
		if refused.status != 503 && refused.status != 507 || !bytes.Contains(refused.body, []byte(`"detail"`)) {
			t.Fatalf("round %d: on a full disk: %d %s", round, refused.status, refused.body)
		}
		if text, err := s.readAll(bundle); text != "up" || err != nil {
			t.Fatalf("round %d: a new connection: %q, %v", round, text, err)
		}
		if a := s.call("GET", "/api/v1/client", c.auth, nil); a.status != 200 {
			t.Fatalf("round %d: a read: %d %s", round, a.status, a.body)
		}
		if round%2 == 0 {
			s.kill()
		} else {
			s.stop()
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		s.run()
		c.logIn()
	}
	for _, one := range answered {
		if a := s.call("POST", "/api/v1/client/auth", basic(one.uuid, one.key), nil); a.status != 200 {
			t.Fatalf("client %s was answered with success and is lost: %d %s, want 200", one.uuid, a.status, a.body)
		}
	}
	t.Logf("%d sign-ups, all there", len(answered))
}

// fill writes a file until the disk has no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(block)
	}
}
