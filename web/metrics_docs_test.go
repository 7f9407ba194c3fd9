package web

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
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
		exported[metricName.FindString(d.String())] = false
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
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
	}
	for name, documented := range exported {
		if !documented {
			t.Errorf("metrics.md does not tell about %s", name)
		}
	}
}
