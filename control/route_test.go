package control

import (
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
		"http://a.b:80":                          "Leave out http://",
		"HTTPS://10.0.0.1":                       "Leave out https://",
		"<script>://a.b:80":                      "Leave out what stands before the host.",
		"a.b:80/index.html":                      "Leave out the path",
		"a.b/":                                   "Leave out the path",
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
