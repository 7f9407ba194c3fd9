package egress

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func policy(t *testing.T, cfg Config) *Policy {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rules(texts ...string) (all []Rule) {
	for _, text := range texts {
		rule, err := ParseRule(text)
		if err != nil {
			panic(err)
		}
		all = append(all, rule)
	}
	return all
}

func TestEgress(t *testing.T) {
	own := func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:9090")} }
	cases := []struct {
		name    string
		rule    Config
		address string
		allowed bool
	}{
		{"public", Config{}, "142.250.189.174:80", true},
		{"private", Config{}, "10.0.0.1:80", true},
		{"loopback outside local mode", Config{}, "127.0.0.1:80", false},
		{"loopback v6 outside local mode", Config{}, "[::1]:80", false},
		{"mapped loopback outside local mode", Config{}, "[::ffff:127.0.0.1]:80", false},
		{"NAT64 loopback outside local mode", Config{}, "[64:ff9b::7f00:1]:80", false},
		{"loopback in local mode", Config{Local: true}, "127.0.0.1:80", true},
		{"link-local", Config{Local: true}, "169.254.169.254:80", false},
		{"mapped link-local", Config{Local: true}, "[::ffff:169.254.169.254]:80", false},
		{"NAT64 link-local", Config{Local: true}, "[64:ff9b::a9fe:a9fe]:80", false},
		{"link-local v6", Config{Local: true}, "[fe80::1]:80", false},
		{"multicast", Config{Local: true}, "224.0.0.1:80", false},
		{"multicast v6", Config{Local: true}, "[ff02::1]:80", false},
		{"broadcast", Config{Local: true}, "255.255.255.255:80", false},
		{"unspecified", Config{Local: true}, "0.0.0.0:80", false},
		{"unspecified v6", Config{Local: true}, "[::]:80", false},
		{"this network", Config{Local: true}, "0.1.2.3:80", false},
		{"own port", Config{Local: true, Own: own}, "127.0.0.1:9090", false},
		{"own port at another loopback address", Config{Local: true, Own: own}, "127.9.9.9:9090", false},
		{"own port number elsewhere", Config{Local: true, Own: own}, "142.250.189.174:9090", true},
		{"denied", Config{Lists: Lists{Deny: rules("10.0.0.0/8")}}, "10.1.2.3:80", false},
		{"not in the list of allowed", Config{Lists: Lists{Allow: rules("10.0.0.0/8")}}, "142.250.189.174:80", false},
		{"in the list of allowed", Config{Lists: Lists{Allow: rules("10.0.0.0/8")}}, "10.1.2.3:80", true},
		{"loopback in the list of allowed", Config{Lists: Lists{Allow: rules("127.0.0.0/8")}}, "127.0.0.1:80", true},
		{"denied although allowed", Config{Lists: Lists{Allow: rules("10.0.0.0/8"), Deny: rules("10.1.0.0/16")}}, "10.1.2.3:80", false},
		{"loopback in a list that allows all", Config{Lists: Lists{Allow: rules("0.0.0.0/0")}}, "127.0.0.1:80", false},
		{"loopback that is permitted", Config{Lists: Lists{Permit: rules("127.0.0.0/8:80")}}, "127.0.0.1:80", true},
		{"another port of it", Config{Lists: Lists{Permit: rules("127.0.0.0/8:80")}}, "127.0.0.1:81", false},
		{"own port although permitted", Config{Own: own, Lists: Lists{Permit: rules("127.0.0.0/8")}}, "127.0.0.1:9090", false},
		{"denied although permitted", Config{Lists: Lists{Permit: rules("100.64.0.0/10"), Deny: rules("100.100.0.0/16")}}, "100.100.100.200:80", false},
		{"special although permitted in another form", Config{Lists: Lists{Permit: rules("64:ff9b::/96")}}, "[64:ff9b::a9fe:a9fe]:80", false},
		{"permitted and not allowed", Config{Lists: Lists{Permit: rules("100.64.0.0/10"), Allow: rules("10.0.0.0/8")}}, "100.64.0.1:80", false},
		{"multicast although permitted", Config{Lists: Lists{Permit: rules("224.0.0.0/4")}}, "224.0.0.1:80", false},
		{"port that is allowed", Config{Lists: Lists{Allow: rules("10.0.0.0/8:5432+6379")}}, "10.1.2.3:6379", true},
		{"port that is not", Config{Lists: Lists{Allow: rules("10.0.0.0/8:5432+6379")}}, "10.1.2.3:80", false},
		{"link-local although allowed", Config{Lists: Lists{Allow: rules("169.254.0.0/16")}}, "169.254.169.254:80", false},
	}
	for _, c := range cases {
		if err := policy(t, c.rule).Check(netip.MustParseAddrPort(c.address)); (err == nil) != c.allowed {
			t.Errorf("%s: %s gave %v, want allowed %v", c.name, c.address, err, c.allowed)
		}
	}
}

// Special-purpose networks and clouds' metadata are closed in local mode too, private and public ones open.
func TestSpecialNetworks(t *testing.T) {
	for text, allowed := range map[string]bool{
		"100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false, "169.254.170.2": false, "192.0.0.192": false,
		"168.63.129.16": false, "192.0.2.7": false, "198.18.0.1": false, "198.51.100.7": false, "203.0.113.7": false, "240.0.0.1": false,
		"255.255.255.254": false, "192.88.99.1": false, "fd00:ec2::254": false, "fd20:ce::254": false, "fd00:42::42": false,
		"2001:db8::1": false, "3fff::1": false, "100::1": false, "5f00::1": false, "fec0::1": false, "2001:2::1": false, "2001:10::1": false,
		"64:ff9b::6464:64c8": false, "2002:a83f:8110::1": false,

		"10.0.0.1": true, "172.16.0.1": true, "192.168.0.1": true, "fc00::1": true, "fd00::1": true, "fd00:42::43": true,
		"100.63.255.255": true, "100.128.0.1": true, "168.63.129.17": true, "192.0.1.1": true, "198.20.0.1": true, "8.8.8.8": true,
		"2606:4700::1111": true, "2001:4860::8888": true,
	} {
		for _, local := range []bool{false, true} {
			if err := policy(t, Config{Local: local}).Check(netip.AddrPortFrom(netip.MustParseAddr(text), 80)); (err == nil) != allowed {
				t.Errorf("%s, local %v: got %v, want allowed %v", text, local, err, allowed)
			}
		}
	}
}

// This machine's addresses are closed outside of local mode, and to others in it.
func TestAddressesOfThisMachine(t *testing.T) {
	var own netip.Addr
	for _, addr := range machineAddresses() {
		if addr.Is4() && !addr.IsLoopback() && !isSpecial(addr) {
			own = addr
		}
	}
	if !own.IsValid() {
		t.Skip("this machine has no address beside loopback")
	}
	to := netip.AddrPortFrom(own, 80)
	local := policy(t, Config{Local: true})
	if err := local.Check(to); err != nil {
		t.Errorf("in local mode: %v", err)
	}
	if err := local.CheckForOthers(to); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("in local mode, for others: got %v", err)
	}
	if err := policy(t, Config{}).Check(to); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("outside of local mode: got %v", err)
	}
	if err := policy(t, Config{Lists: Lists{Permit: rules(own.String() + "/32")}}).Check(to); err != nil {
		t.Errorf("permitted: %v", err)
	}
}

func TestParseRule(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8:5432": "10.0.0.0/8", "2001:db8::/32": "2001:db8::/32", "2001:db8::/32:443": "2001:db8::/32",
		"[2001:db8::/32]:443+8000-8100": "2001:db8::/32", " fd00::/8 ": "fd00::/8", "[fd00::/8]": "fd00::/8",
	} {
		rule, err := ParseRule(text)
		if err != nil || rule.Network.String() != want || (len(rule.Ports) > 0) != strings.Contains(text, "443") && (len(rule.Ports) > 0) != strings.Contains(text, "5432") {
			t.Errorf("%s: got %+v %v, want %s", text, rule, err, want)
		}
	}
	for _, text := range []string{"", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:70000", "10.0.0.0/8:9-1", "10.0.0.0/8:+", "10.0.0.0/8:http", "::ffff:10.0.0.0/104", "[10.0.0.0/8", "fd00::/8%1"} {
		if rule, err := ParseRule(text); err == nil {
			t.Errorf("%q was read as %+v", text, rule)
		}
	}
}

// Rules in a file are added to those of the flags, and follow the file; one that is wrong changes nothing and is said once.
func TestFileIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "egress")
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("# databases\nallow 10.0.0.0/8:5432 10.0.0.0/8:6379  # and caches\n\ndeny 10.9.0.0/16\n")
		p := policy(t, Config{File: path, Lists: Lists{Allow: rules("192.168.0.0/16")}})
		ctx, cancel := context.WithCancel(t.Context())
		var said []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.Follow(ctx, func(err error) {
				if err == nil {
					said = append(said, "changed")
				} else {
					said = append(said, err.Error())
				}
			})
		}()
		wants := func(address string, allowed bool) {
			t.Helper()
			if err := p.Check(netip.MustParseAddrPort(address)); (err == nil) != allowed {
				t.Errorf("%s: got %v, want allowed %v", address, err, allowed)
			}
		}
		wants("10.0.0.1:5432", true)
		wants("10.0.0.1:80", false)
		wants("10.9.0.1:5432", false)
		wants("192.168.0.1:80", true)
		write("allow 10.0.0.0/8:80\n")
		time.Sleep(fileEvery + time.Second)
		wants("10.0.0.1:5432", true) // it may not be all of the file yet
		time.Sleep(fileEvery)
		wants("10.0.0.1:80", true)
		wants("10.0.0.1:5432", false)
		write("allow 10.0.0.0/8:80\nallow everything\n")
		time.Sleep(5 * fileEvery)
		wants("10.0.0.1:80", true)
		os.Remove(path)
		time.Sleep(5 * fileEvery)
		wants("10.0.0.1:80", true)
		write("deny 10.0.0.0/8\n")
		time.Sleep(5 * fileEvery)
		wants("10.0.0.1:80", false)
		cancel()
		<-done
		if len(said) != 4 || said[0] != "changed" || !strings.Contains(said[1], "line 2") || !strings.Contains(said[2], "no such file") || said[3] != "changed" {
			t.Errorf("it said %q", said)
		}
	})
	if _, err := New(Config{File: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a file that is not there is not missed")
	}
}

// Whatever is read as a rule says the same when it is read again.
func FuzzParseRule(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "10.0.0.0/8:5432+6379", "[2001:db8::/32]:1-2", "::/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := ParseRule(text)
		if err != nil {
			return
		}
		if rule.Network != rule.Network.Masked() || !rule.Network.IsValid() {
			t.Errorf("%q is %v", text, rule.Network)
		}
		for _, ports := range rule.Ports {
			if ports.First == 0 || ports.First > ports.Last {
				t.Errorf("%q has the ports %v", text, ports)
			}
		}
	})
}
