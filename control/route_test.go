package control

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseDest(t *testing.T) {
	good := map[string]string{
		"10.0.7.2:6379":           "10.0.7.2:6379",
		" 10.0.7.2:06379 ":        "10.0.7.2:6379",
		"DB.Internal:5432":        "db.internal:5432",
		"db.internal.:5432":       "db.internal:5432",
		"my_service:80":           "my_service:80",
		"[2001:DB8:0::7]:443":     "[2001:db8::7]:443",
		"[::ffff:10.0.0.1]:443":   "10.0.0.1:443",
		"localhost:65535":         "localhost:65535",
		"1password.com:443":       "1password.com:443",
		"xn--bcher-kva.example:1": "xn--bcher-kva.example:1",
	}
	for text, want := range good {
		host, port, problem := parseDest("dest", text)
		if problem != nil || joinHostPort(host, int(port)) != want {
			t.Errorf("%q became %s %d (%v), want %s", text, host, port, problem, want)
		}
	}
	bad := map[string]string{
		"":                                       "Add a port",
		"10.0.7.2":                               "Add a port",
		"10.0.7.2:":                              "Add a port",
		"10.0.7.2:0":                             "from 1 to 65535",
		"10.0.7.2:70000":                         "from 1 to 65535",
		"10.0.7.2:-1":                            "from 1 to 65535",
		"10.0.7.2:+80":                           "from 1 to 65535",
		"10.0.7.2:http":                          "from 1 to 65535",
		"2001:db8::7:443":                        "brackets",
		"[fe80::1%eth0]:1":                       "zone",
		":80":                                    "no host name",
		"a b:80":                                 "no host name",
		"<b>:80":                                 "no host name",
		"-a.example:80":                          "no host name",
		"a..b:80":                                "no host name",
		"2130706433:80":                          "no host name",
		"0x7f000001:80":                          "no host name",
		"127.1:80":                               "no host name",
		"http://a.b:80":                          "brackets",
		strings.Repeat("a", 64) + ".example:80":  "no host name",
		strings.Repeat("a.", 127) + "example:80": "no host name",
	}
	for text, want := range bad {
		if _, _, problem := parseDest("dest", text); problem == nil || !strings.Contains(problem.Message, want) {
			t.Errorf("%q: %v, want a message with %q", text, problem, want)
		}
	}
}

func FuzzParseDest(f *testing.F) {
	for _, seed := range []string{"10.0.7.2:6379", "[2001:db8::7]:443", "a:1", "::", "[", "%:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, port, problem := parseDest("dest", text)
		if problem != nil {
			return
		}
		canonical := joinHostPort(host, int(port))
		again, samePort, problem := parseDest("dest", canonical)
		if problem != nil || again != host || samePort != port {
			t.Errorf("%q became %q, which becomes %s %d (%v)", text, canonical, again, samePort, problem)
		}
	})
}

func TestEgress(t *testing.T) {
	own := func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:9090")} }
	networks := func(list ...string) (all []netip.Prefix) {
		for _, one := range list {
			all = append(all, netip.MustParsePrefix(one))
		}
		return all
	}
	cases := []struct {
		name    string
		rule    *egress
		address string
		allowed bool
	}{
		{"public", &egress{}, "142.250.189.174:80", true},
		{"private", &egress{}, "10.0.0.1:80", true},
		{"loopback outside local mode", &egress{}, "127.0.0.1:80", false},
		{"loopback v6 outside local mode", &egress{}, "[::1]:80", false},
		{"mapped loopback outside local mode", &egress{}, "[::ffff:127.0.0.1]:80", false},
		{"NAT64 loopback outside local mode", &egress{}, "[64:ff9b::7f00:1]:80", false},
		{"loopback in local mode", &egress{local: true}, "127.0.0.1:80", true},
		{"link-local", &egress{local: true}, "169.254.169.254:80", false},
		{"mapped link-local", &egress{local: true}, "[::ffff:169.254.169.254]:80", false},
		{"NAT64 link-local", &egress{local: true}, "[64:ff9b::a9fe:a9fe]:80", false},
		{"link-local v6", &egress{local: true}, "[fe80::1]:80", false},
		{"multicast", &egress{local: true}, "224.0.0.1:80", false},
		{"multicast v6", &egress{local: true}, "[ff02::1]:80", false},
		{"broadcast", &egress{local: true}, "255.255.255.255:80", false},
		{"unspecified", &egress{local: true}, "0.0.0.0:80", false},
		{"unspecified v6", &egress{local: true}, "[::]:80", false},
		{"this network", &egress{local: true}, "0.1.2.3:80", false},
		{"own port", &egress{local: true, own: own}, "127.0.0.1:9090", false},
		{"own port at another loopback address", &egress{local: true, own: own}, "127.9.9.9:9090", false},
		{"own port number elsewhere", &egress{local: true, own: own}, "142.250.189.174:9090", true},
		{"denied", &egress{deny: networks("10.0.0.0/8")}, "10.1.2.3:80", false},
		{"not in the list of allowed", &egress{allow: networks("10.0.0.0/8")}, "142.250.189.174:80", false},
		{"in the list of allowed", &egress{allow: networks("10.0.0.0/8")}, "10.1.2.3:80", true},
		{"loopback in the list of allowed", &egress{allow: networks("127.0.0.0/8")}, "127.0.0.1:80", true},
		{"denied although allowed", &egress{allow: networks("10.0.0.0/8"), deny: networks("10.1.0.0/16")}, "10.1.2.3:80", false},
		{"link-local although allowed", &egress{allow: networks("169.254.0.0/16")}, "169.254.169.254:80", false},
	}
	for _, c := range cases {
		if err := c.rule.check(netip.MustParseAddrPort(c.address)); (err == nil) != c.allowed {
			t.Errorf("%s: %s gave %v, want allowed %v", c.name, c.address, err, c.allowed)
		}
	}
}

func TestLabel(t *testing.T) {
	for _, good := range []string{"redis", "Größe 2", "a.b-c_d", "数据库", strings.Repeat("ä", 64)} {
		if _, problem := label("name", good); problem != nil {
			t.Errorf("%q: %v", good, problem)
		}
	}
	for _, bad := range []string{"", "  ", "a\nb", "<b>bold</b>", "a\x00b", "a\u202eb", "a\xffb", strings.Repeat("a", 65), "x&y", `x"y`} {
		if got, problem := label("name", bad); problem == nil {
			t.Errorf("%q became %q, want an error", bad, got)
		}
	}
}
