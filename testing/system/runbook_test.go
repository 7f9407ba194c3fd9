package system

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Whoever is woken by an alert finds what to do, and what the runbook says is run by tests that there are.
func TestEveryAlertHasARunbook(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile("../../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(alerts), -1)
	if len(found) < 10 {
		t.Fatalf("%d alerts", len(found))
	}
	for _, one := range found {
		if !strings.Contains(string(runbook), "\n| "+one[1]+" | ") {
			t.Errorf("the runbook does not say what to do about %s", one[1])
		}
	}
	tests := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(runbook), -1)
	for _, one := range tests {
		if out, err := exec.Command("grep", "-rq", "--include=*_test.go", "func "+one[1]+"(", "../..").CombinedOutput(); err != nil {
			t.Errorf("the runbook names %s, which there is not %s", one[1], out)
		}
	}
	headings := regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(runbook), -1)
	for _, one := range headings {
		anchor := strings.ReplaceAll(strings.ToLower(one[1]), " ", "-")
		if !strings.Contains(string(runbook), "(#"+anchor+")") {
			t.Errorf("nothing leads to %q", one[1])
		}
	}
}
