package config

import (
	"strings"
	"testing"
	"time"
)

// The command line wins over the environment, and 0 is unbounded.
func TestParse(t *testing.T) {
	t.Setenv("XLB_HTTP_ADDR", "localhost:1")
	t.Setenv("XLB_LB_ADDR", "localhost:2")
	t.Setenv("XLB_HOSTNAME", "a.example, b.example")
	cfg, err := Parse([]string{"-lb-addr", "localhost:3", "-signup-rate", "0", "-max-clients", "7", "-drain-timeout", "1s"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.HTTPAddr != "localhost:1" || cfg.LBAddr != "localhost:3" || strings.Join(cfg.Hostnames, " ") != "a.example b.example" {
		t.Errorf("got %+v", cfg)
	}
	if cfg.SignupRate != -1 || cfg.AuthRate != 60 || cfg.MaxClients != 7 || cfg.DrainTimeout != time.Second {
		t.Errorf("got %+v", cfg)
	}
}

// What is wrong is named by its flag.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"extra", `"extra"`},
		{"-signup sometimes", "-signup"},
		{"-log-format xml", "-log-format"},
		{"-max-clients -1", "-max-clients"},
		{"-allow-dest 10.0.0.0", "10.0.0.0/8"},
	} {
		if _, err := Parse(strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something with %s", c.args, err, c.want)
		}
	}
}
