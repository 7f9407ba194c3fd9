package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// profile takes a CPU profile of XLB while a case runs, if that was asked for. The func that it returns
// waits for it.
func (f *field) profile(b *balancer, name string) (wait func()) {
	if f.profiles == "" || b.ops == "" {
		return func() {}
	}
	done := make(chan error, 1)
	go func() { done <- f.fetchProfile(b, name) }()
	return func() {
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}
}

func (f *field) fetchProfile(b *balancer, name string) error {
	resp, err := http.Get("http://" + b.ops + "/debug/pprof/profile?seconds=3")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.profiles, 0o755); err != nil {
		return err
	}
	file := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-") + ".pprof"
	return os.WriteFile(filepath.Join(f.profiles, file), text, 0o644)
}
