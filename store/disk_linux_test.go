package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs fn on a thread that may do with files only what the user nobody may. The thread ends
// with its goroutine.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0); errno != 0 {
			t.Error(errno)
			return
		}
		fn()
	}()
	<-done
}

func TestFilesOfAnotherUser(t *testing.T) {
	badgerOnly(t)
	dir := closedStore(t)
	for path, mode := range map[string]os.FileMode{filepath.Dir(filepath.Dir(dir)): 0o755, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		mustFail(t, dir, BadgerConfig{}, ErrUnreadable, "permission denied", "to the user that runs xlb")
		mustFail(t, filepath.Join(filepath.Dir(dir), "new"), BadgerConfig{}, ErrUnreadable, "permission denied")
	})
	if err := os.Chmod(dir, 0o777); err != nil { // as if only the files were another's
		t.Fatal(err)
	}
	asNobody(t, func() {
		mustFail(t, dir, BadgerConfig{}, ErrUnreadable, "permission denied")
	})
	if _, _, err := get1(t, reopen(t, dir, BadgerConfig{}), "a"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// smallDisk mounts a file system of some megabytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Without the guard the kernel ends the process at the first write into a mapped file that finds no
// room. With it, a disk that others fill up costs writes only, and a restart finds everything.
func TestFullDiskCostsWritesOnly(t *testing.T) {
	badgerOnly(t)
	disk := smallDisk(t, "72m")
	dir := filepath.Join(disk, "store")
	cfg := BadgerConfig{MinFree: 32 << 20}
	b, err := OpenBadger(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	written := fillDisk(t, b)
	t.Logf("%d writes before the first refusal", written)
	if written == 0 {
		t.Fatal("nothing was written")
	}
	if got, _, err := get1(t, b, "k"); got == "" || err != nil {
		t.Errorf("read from a full disk: %d bytes, %v", len(got), err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenBadger(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, rev, err := get1(t, again, "k"); rev != written || err != nil {
		t.Errorf("revision %d after the restart, want %d; %v", rev, written, err)
	}
}

// fillDisk writes until it is refused, and returns the last revision.
func fillDisk(t *testing.T, b *Badger) (last uint64) {
	t.Helper()
	value := []byte(strings.Repeat("x", 100_000))
	for range 2000 {
		rev, err := b.Update(context.Background(), func(tx Txn) error {
			tx.Set("k", value)
			return nil
		})
		if errors.Is(err, ErrReadOnly) {
			return last
		}
		if err != nil {
			t.Fatal(err)
		}
		last = rev
	}
	return last
}

func TestFullDiskSaysSo(t *testing.T) {
	badgerOnly(t)
	disk := smallDisk(t, "4m")
	mustFail(t, filepath.Join(disk, "store"), BadgerConfig{}, ErrNoSpace, "make room", "MB left")
	if err := os.WriteFile(filepath.Join(disk, "filler"), make([]byte, 4<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	mustFail(t, filepath.Join(disk, "store"), BadgerConfig{}, ErrNoSpace, "make room")
	mustFail(t, filepath.Join(disk, "other"), BadgerConfig{MinFree: -1}, ErrNoSpace, "make room")
}

func TestReadOnlyDisk(t *testing.T) {
	badgerOnly(t)
	disk := smallDisk(t, "64m")
	dir := filepath.Join(disk, "store")
	b, err := OpenBadger(dir, BadgerConfig{MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	set1(t, b, "a", "")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot remount: %v", err)
	}
	mustFail(t, dir, BadgerConfig{}, ErrUnreadable, "cannot be written")
}
