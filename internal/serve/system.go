package serve

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellSystem tells systemd, if it has started this process and wants to know, how it does (sd_notify).
func tellSystem(state string) { daemon.SdNotify(false, state) }

// keepAlive tells systemd until ctx ends that the server is not stuck, where it asks for that: as long as what every connection
// needs can be had.
func (s *server) keepAlive(ctx context.Context) error {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return nil
	}
	ticker := time.NewTicker(every / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.control.Balancer().Stats()
			s.control.Applied()
			tellSystem("WATCHDOG=1")
		}
	}
}
