package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/xdire/xlb/internal/datadir"
)

const (
	// reloadTime is how long the next process may take until it answers.
	reloadTime = 2 * time.Minute
	reloadPoll = 20 * time.Millisecond
)

// reload does `xlb admin reload`: it has another process take over, and returns when that one answers.
func (a *admin) reload(ctx context.Context, _ []string) error {
	path := datadir.Socket(a.dir)
	before, err := os.Stat(path)
	if err == nil {
		err = a.call(ctx, "POST", "/admin/reload", "", nil)
	} else {
		err = fmt.Errorf("no server answers on %s; -data-dir says where it keeps its data", path)
	}
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(reloadTime); time.Now().Before(deadline); time.Sleep(reloadPoll) {
		now, err := os.Stat(path)
		if err != nil || os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) {
			continue
		}
		if a.call(ctx, "GET", "/admin/server", "", nil) == nil {
			fmt.Fprintln(a.out, "Another process has taken over. The one before it ends when its connections have, or their time is over.")
			return nil
		}
	}
	return errors.New("the next process does not answer yet; the log of the server says why. Connections are served meanwhile")
}
