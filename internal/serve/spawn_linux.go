package serve

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// reloadSignal asks for another process to take over. SIGHUP, which others use for that, also comes from a terminal that closes.
var reloadSignal os.Signal = syscall.SIGUSR2

// child is a process that was started to take over from this one.
type child struct {
	pid      int
	stranger bool  // somebody else has started it, and nothing but its number is known
	sibling  bool  // it is a child of this process's parent, who hears how it ends
	ended    error // why it has, nil while it runs
}

// copies are the sockets once more, for processes to come: they are open when this one listens no longer.
type copies struct {
	files []int
	names string
}

// copyOf copies the sockets that are open. The caller closes the copies.
func copyOf(s *sockets) (c *copies, err error) {
	if os.Getpid() == 1 {
		return nil, errors.New("process 1 of a container cannot hand over to another one, since the container ends with it")
	}
	open, names := s.pass()
	c = &copies{names: names}
	for _, l := range open {
		raw, err := l.SyscallConn()
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		fd := -1 // and no os.File, which would make the socket block, for the listener too
		failed := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
		if err := errors.Join(failed, err); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.files = append(c.files, fd)
	}
	return c, nil
}

// Close closes the copies.
func (c *copies) Close() error {
	for _, fd := range c.files {
		unix.Close(fd)
	}
	c.files = nil
	return nil
}

// spawn starts the program of this process, by now perhaps another version, with the same arguments, one more and the sockets.
func (c *copies) spawn(more string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	files := []uintptr{0, 1, 2}
	for _, fd := range c.files {
		files = append(files, uintptr(fd))
	}
	args := os.Args
	if !slices.Contains(args, more) {
		args = append(slices.Clone(args), more)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WATCHDOG_PID=") }) // it is this one's
	env = append(env, fmt.Sprintf("LISTEN_FDS=%d", len(c.files)), "LISTEN_FDNAMES="+c.names, passedVariable+"=1")
	attr := &syscall.ProcAttr{Env: env, Files: files}
	// systemd waits for the end of a main process that is its child, and kills another one as soon as it has asked it to end.
	sibling := os.Getenv("NOTIFY_SOCKET") != ""
	if sibling {
		attr.Sys = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT}
	}
	pid, err := syscall.ForkExec(program, args, attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return &child{pid: pid, sibling: sibling}, nil
}

// running tells whether the process has not ended. It has to be asked by one goroutine at a time.
func (c *child) running() bool {
	if c.ended != nil {
		return false
	}
	if c.sibling {
		if !isAlive(c.pid) {
			c.ended = errors.New("it ended; its own words are in the log")
		}
		return c.ended == nil
	}
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(c.pid, &status, syscall.WNOHANG, nil)
	switch {
	case err == syscall.EINTR || err == nil && pid == 0:
		return true
	case err != nil:
		c.ended = err
	case status.Signaled():
		c.ended = fmt.Errorf("it was ended by the signal %s", status.Signal())
	default:
		c.ended = fmt.Errorf("it ended with the status %d; its own words are in the log", status.ExitStatus())
	}
	return false
}

// isAlive tells whether there is a process that has not ended.
func isAlive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ") // the name before it may have anything in it
	return err == nil && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// kill ends the process, and waits for it when it is a child.
func (c *child) kill() {
	if c.running() {
		syscall.Kill(c.pid, syscall.SIGKILL)
		if !c.sibling {
			syscall.Wait4(c.pid, nil, 0, nil)
		}
		c.ended = errors.New("it did not get ready in time")
	}
}
