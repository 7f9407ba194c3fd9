package egress

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// insideVar makes the test run what is meant for a network of its own.
const insideVar = "XLB_EGRESS_TEST_INSIDE"

// An address that is local by a route is this machine's, though no interface has it: a connection to it reaches our ports.
func TestLocalRoutesAreThisMachine(t *testing.T) {
	if os.Getenv(insideVar) == "" {
		runInside(t)
		return
	}
	for _, command := range [][]string{
		{"ip", "link", "set", "lo", "up"}, {"ip", "route", "add", "local", "10.88.0.0/16", "dev", "lo"},
		{"ip", "-6", "route", "add", "local", "2001:db8:88::/48", "dev", "lo"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", command, err, out)
		}
	}
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	p := policy(t, Config{Local: true, Own: func() []netip.AddrPort { return []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()} }})
	for _, text := range []string{"10.88.5.5", "2001:db8:88::7"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(text), port)
		conn, err := net.DialTimeout("tcp", to.String(), 5*time.Second)
		if err != nil {
			t.Fatalf("%s does not reach this machine: %v", to, err)
		}
		conn.Close()
		if p.Check(to) == nil {
			t.Errorf("%s reaches our own port and is allowed", to)
		}
	}
	for text, allowed := range map[string]bool{"10.88.5.5:80": false, "10.89.5.5:80": true, "127.0.0.1:80": false} {
		if err := p.CheckForOthers(netip.MustParseAddrPort(text)); (err == nil) != allowed {
			t.Errorf("%s for others: %v, want allowed: %v", text, err, allowed)
		}
	}
}

// runInside runs this test again in a network namespace of its own.
func runInside(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Skipf("this machine gives no network namespace: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
