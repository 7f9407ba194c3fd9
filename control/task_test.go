package control

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

func TestTaskThatPanicsBeginsAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		panics int
		fails  bool
	}{{"never", 0, false}, {"twice", 2, false}, {"for ever", 1000, true}} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			runs := 0
			task := Task{"sweep", Asked, func(context.Context) error {
				if runs++; runs <= c.panics {
					panic("nil pointer")
				}
				return nil
			}}
			control := &Control{log: slog.New(slog.NewTextHandler(&log, nil))}
			err := control.recovering(task)(t.Context())
			if (err != nil) != c.fails || !c.fails && runs != c.panics+1 || c.fails && runs != maxPanics {
				t.Errorf("%s: %d runs, %v", c.name, runs, err)
			}
			if said := strings.Count(log.String(), "task=sweep"); said != min(c.panics, maxPanics) {
				t.Errorf("%s: the log says so %d times, want %d", c.name, said, min(c.panics, maxPanics))
			}
		})
	}
}
