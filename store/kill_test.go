package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childVar makes this test binary a writer that is going to be killed; its value is the directory.
const childVar = "XLB_STORE_TEST_WRITER"

// childAudited makes it write records with an audit chain, and not plain keys.
const childAudited = "XLB_STORE_TEST_AUDITED"

// childMain is the writer: four goroutines write keys and print each when Update has returned. A line
// on the pipe is an answer with success.
func childMain() bool {
	dir := os.Getenv(childVar)
	if dir == "" {
		return false
	}
	b, err := OpenBadger(dir, BadgerConfig{})
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	write := childWrite
	if os.Getenv(childAudited) != "" {
		write = childChange
	}
	var out sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() { write(b, w, &out) })
	}
	writers.Wait()
	return true
}

func childWrite(b *Badger, writer int, out *sync.Mutex) {
	filler := strings.Repeat("x", 2000) // so that memtables are flushed now and then
	for i := 0; ; i++ {
		key := fmt.Sprintf("w%d/%06d-%d", writer, i, os.Getpid())
		rev, err := b.Update(context.Background(), func(tx Txn) error {
			tx.Set(key, []byte(filler))
			tx.Set(key+"/twin", []byte(filler))
			return nil
		})
		out.Lock()
		if err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println("ok", key, rev)
		}
		out.Unlock()
		if err != nil {
			return
		}
	}
}

func TestKillLosesNothingThatWasAnswered(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	acked := map[string]uint64{}
	var newest uint64
	for round := range 6 {
		before := len(acked)
		writeAndKill(t, dir, time.Duration(150+round*130)*time.Millisecond, acked)
		if len(acked) == before {
			t.Fatalf("round %d: the writer answered nothing", round)
		}
		newest = verifyAfterKill(t, dir, acked, newest)
	}
	t.Logf("%d answered writes survived 6 kills, revision %d", len(acked), newest)
}

// Killed while it opens, the store must open again: what a half-made file looks like is not damage.
func TestKillWhileOpeningDoesNotDamage(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	acked := map[string]uint64{}
	var newest uint64
	for round := range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVar+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(8+3*round)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			noteAnswer(t, lines.Text(), acked)
		}
		_ = cmd.Wait() // it was killed
		kill.Stop()
		if round%5 == 4 {
			newest = verifyAfterKill(t, dir, acked, newest)
		}
	}
	t.Logf("%d answered writes survived, revision %d", len(acked), newest)
}

// writeAndKill runs a writer, kills it in the middle, and notes what it answered.
func writeAndKill(t *testing.T, dir string, after time.Duration, acked map[string]uint64, env ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childVar+"="+dir), env...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if kill == nil { // it is open and writes
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			defer kill.Stop()
		}
		noteAnswer(t, lines.Text(), acked)
	}
	_ = cmd.Wait() // it was killed
}

func noteAnswer(t *testing.T, line string, acked map[string]uint64) {
	t.Helper()
	var key string
	var rev uint64
	if _, err := fmt.Sscanf(line, "ok %s %d", &key, &rev); err != nil {
		t.Errorf("the writer said %q", line)
		return
	}
	acked[key] = rev
}

// verifyAfterKill opens the store that a killed process left. Everything answered is there with its
// revision, no Update is there by half, and revisions go on.
func verifyAfterKill(t *testing.T, dir string, acked map[string]uint64, newest uint64) uint64 {
	t.Helper()
	b, err := OpenBadger(dir, BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	found := map[string]uint64{}
	err = b.View(t.Context(), func(r Reader) error {
		for item, err := range r.Scan("w", "", 0) {
			if err != nil {
				return err
			}
			found[item.Key] = item.Revision
		}
		if r.Revision() < newest {
			t.Errorf("revision went back from %d to %d", newest, r.Revision())
		}
		newest = r.Revision()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, rev := range acked {
		if found[key] != rev {
			t.Errorf("%s was answered with revision %d, found %d", key, rev, found[key])
		}
	}
	for key, rev := range found {
		if rev > newest {
			t.Errorf("%s has revision %d, above the newest %d", key, rev, newest)
		}
		twin := key + "/twin"
		if before, isTwin := strings.CutSuffix(key, "/twin"); isTwin {
			twin = before
		}
		if found[twin] != rev {
			t.Errorf("%s is there by half", key)
		}
	}
	return newest
}
