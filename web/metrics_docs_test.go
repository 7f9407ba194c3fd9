package web

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/xdire/xlb/control"
)

var metricName = regexp.MustCompile(`\bxlb_[a-z_]+`)

// baseName is the metric that a series of a histogram belongs to.
func baseName(series string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		series = strings.TrimSuffix(series, suffix)
	}
	return series
}

// What the documents name is exported, and everything that is exported is documented.
func TestDocumentsNameMetricsThatThereAre(t *testing.T) {
	exported := map[string]bool{}
	for _, d := range described {
		exported[d.series()] = false
	}
	for _, file := range []string{"metrics.md", "alerts.yml", "grafana-dashboard.json"} {
		text, err := os.ReadFile("../docs/" + file)
		must(t, err)
		for _, name := range metricName.FindAllString(string(text), -1) {
			base := baseName(name)
			if _, known := exported[base]; !known {
				t.Errorf("%s names %s, which nothing exports", file, name)
			} else if file == "metrics.md" {
				exported[base] = true
			}
		}
	}
	for name, documented := range exported {
		if !documented {
			t.Errorf("metrics.md does not tell about %s", name)
		}
	}
}

// alertRules is the file of rules as Prometheus reads it. Fields that it does not know are errors there too.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlertRulesParseAndAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/alerts.yml")
	must(t, err)
	var file alertRules
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	must(t, strict.Decode(&file))
	page, err := os.ReadFile("../docs/metrics.md")
	must(t, err)
	documented := map[string]bool{} // by alert: whether there is a rule
	for _, name := range regexp.MustCompile("`(XLB[A-Za-z]+)` \\|").FindAllSubmatch(page, -1) {
		documented[string(name[1])] = false
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Expr == "" || rule.Annotations["summary"] == "" || rule.Labels["severity"] != "warning" && rule.Labels["severity"] != "critical" {
				t.Errorf("%s has no expression, no summary or no severity: %+v", rule.Alert, rule)
			}
			if _, err := time.ParseDuration(rule.For); rule.For != "" && err != nil {
				t.Errorf("%s: %v", rule.Alert, err)
			}
			if there, known := documented[rule.Alert]; !known || there {
				t.Errorf("%s is not in metrics.md, or is there twice", rule.Alert)
			}
			documented[rule.Alert] = true
		}
	}
	for name, there := range documented {
		if !there {
			t.Errorf("metrics.md names %s, which is no rule", name)
		}
	}
}

// dashboard is what Grafana needs to draw something.
type dashboard struct {
	Title, UID string
	Panels     []struct {
		ID          int
		Type, Title string
		Targets     []struct{ Expr string }
	}
}

func TestDashboardParses(t *testing.T) {
	text, err := os.ReadFile("../docs/grafana-dashboard.json")
	must(t, err)
	var board dashboard
	must(t, json.Unmarshal(text, &board))
	ids := map[int]bool{}
	for _, panel := range board.Panels {
		if ids[panel.ID] || panel.Type == "" || panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %d has no type, title or query, or an id of another: %+v", panel.ID, panel)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			if !metricName.MatchString(target.Expr) && !strings.Contains(target.Expr, "process_") {
				t.Errorf("panel %q asks for nothing that is exported: %s", panel.Title, target.Expr)
			}
		}
	}
	if board.Title == "" || board.UID == "" || len(ids) == 0 {
		t.Errorf("the dashboard has no title, uid or panel: %+v", board)
	}
}

func TestEveryReasonIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operating.md")
	must(t, err)
	for _, reason := range control.Reasons() {
		if !strings.Contains(string(text), "`"+string(reason)+"`") {
			t.Errorf("operating.md does not tell about %s", reason)
		}
	}
}
