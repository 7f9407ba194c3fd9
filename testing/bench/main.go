// Command bench measures XLB beside HAProxy doing the same job: TLS 1.3 with client certificates, an
// ECDSA P-256 server key, the certificate's common name chooses the pool, three upstreams, round robin.
//
// Both get the same load in turn, round after round, in one run. What is compared is the processor time
// of the balancer's process per unit of work, read from /proc: on a machine that the load generator and
// the upstreams share, that is the steady figure, and wall-clock time is not. A ratio is printed only
// when no run of the case had errors, did no work, or (resumption) was not resumed.
//
// All traffic stays on loopback and is bounded in count and time. It needs Linux and the haproxy
// package. See docs/performance.md for results.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each case runs on each balancer")
	only := flag.String("case", "", "a regular expression: only cases whose name matches")
	scale := flag.Float64("scale", 1, "multiplies the amount of work")
	profiles := flag.String("profile", "", "a folder: writes a CPU profile of XLB for each case, of the first three seconds; use it with a larger -scale")
	flag.Parse()
	if err := run(*rounds, *only, *scale, *profiles); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds int, only string, scale float64, profiles string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-case: %w", err)
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		return fmt.Errorf("haproxy is missing: apt-get install haproxy")
	}
	raiseFiles()
	fmt.Printf("%s, %s, %d processors, %s, %s, %d rounds\n\n", time.Now().UTC().Format(time.DateOnly),
		cpuModel(), runtime.NumCPU(), runtime.Version(), haproxyVersion(), rounds)
	fmt.Printf("| %-58s | %12s | %12s | %9s | %8s | %9s |\n", "case", "HAProxy", "XLB", "XLB/HAP", "goal", "spread")
	fmt.Printf("|%s|\n", strings.Repeat("---|", 6))
	var chosen []testCase
	for _, c := range cases(scale) {
		if pattern.MatchString(c.name) {
			chosen = append(chosen, c)
		}
	}
	var failed []error
	for _, of := range []*service{own, redisOnly, postgresDB} {
		failed = append(failed, runOn(of, chosen, rounds, profiles))
	}
	return errors.Join(failed...)
}

// runOn runs the cases that are about one service.
func runOn(of *service, chosen []testCase, rounds int, profiles string) error {
	if chosen = slices.DeleteFunc(slices.Clone(chosen), func(c testCase) bool { return c.service != of }); len(chosen) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "xlb-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := setUp(dir, of)
	if err != nil {
		return err
	}
	defer f.stop()
	f.profiles = profiles
	for _, c := range chosen {
		if !measure(c, f, rounds) {
			err = errors.New("at least one case had failures")
		}
	}
	return err
}

// measure runs one case on both balancers in turn and prints its line.
func measure(c testCase, f *field, rounds int) bool {
	figures := map[*balancer][]float64{}
	for range rounds {
		for _, b := range f.balancers {
			profiled := f.profile(b, c.name)
			value, err := c.run(b, f)
			profiled()
			if err != nil {
				fmt.Printf("| %-58s | no ratio: %s: %v\n", c.name, b.name, err)
				return false
			}
			figures[b] = append(figures[b], value)
		}
	}
	haproxy, xlb := figures[f.balancers[0]], figures[f.balancers[1]]
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = xlb[i] / haproxy[i]
	}
	fmt.Printf("| %-58s | %8.1f %-3s | %8.1f %-3s | %9.2f | %8s | %4.2f-%4.2f |\n", c.name, median(haproxy), c.unit, median(xlb), c.unit,
		median(ratios), c.goal, slices.Min(ratios), slices.Max(ratios))
	return true
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func raiseFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func haproxyVersion() string {
	out, _ := exec.Command("haproxy", "-v").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	fields := strings.Fields(line)
	if len(fields) > 2 {
		return "HAProxy " + fields[2]
	}
	return "HAProxy"
}
