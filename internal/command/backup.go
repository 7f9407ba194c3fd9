package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/xdire/xlb/internal/backup"
	"github.com/xdire/xlb/internal/datadir"
	"github.com/xdire/xlb/store"
)

const backupUsage = `Write all that a server needs to go on elsewhere to one encrypted file, and make a data directory of such a file.

  xlb backup  [-data-dir DIR] -o FILE (-recipient KEY | -recipients-file FILE | -passphrase-file FILE)
  xlb restore [-data-dir DIR] -i FILE (-identity FILE | -passphrase-file FILE)

  -data-dir DIR          of the server that runs (backup), or an empty one (restore) (XLB_DATA_DIR; ./data)
  -o FILE                where to write to; one that is there is replaced once the new one is whole
  -i FILE                what to read; - is the standard input
  -recipient KEY         encrypt to this public key (age1...); may be given several times
  -recipients-file FILE  the same, one on each line
  -identity FILE         the secret key that a backup was encrypted to
  -passphrase-file FILE  a passphrase instead, the first line of a file

A backup has the records, the authority and the master key: whoever can read it can be this server. The files are those of
age (https://age-encryption.org), so that age-keygen makes keys and age -d opens a backup too.
`

// Backup does ` + "`xlb backup`" + `: args are what follows. What people read goes to out, how far it is to progress.
func Backup(ctx context.Context, args []string, out, progress io.Writer) error {
	b := newSealed("backup", out)
	target := b.flags.String("o", "", "")
	if done, err := b.parse(args); done || err != nil {
		return err
	}
	recipients, err := b.recipients()
	if err != nil {
		return err
	}
	if *target == "" {
		return errors.New("where to? use -o FILE; xlb backup -h says more")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := openBackup(ctx, *b.dir)
	if err != nil {
		return err
	}
	defer body.Close()
	began := time.Now()
	seen := &counter{r: body, to: progress, what: "read", stall: time.AfterFunc(stallAfter, cancel)}
	defer seen.stall.Stop()
	var records store.Dumped
	err = writeWhole(*target, func(w io.Writer) error {
		sealed, err := seal(w, recipients)
		if err != nil {
			return err
		}
		records, err = readThrough(io.TeeReader(seen, sealed))
		return errors.Join(err, sealed.Close())
	})
	seen.end()
	if err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	fmt.Fprintf(out, "%s: %d records at revision %d, %s, in %.1f s. Keep what opens it elsewhere.\n",
		*target, records.Keys, records.Revision, size(seen.n), time.Since(began).Seconds())
	return nil
}

// Restore does ` + "`xlb restore`" + `.
func Restore(ctx context.Context, args []string, in io.Reader, out, progress io.Writer) error {
	b := newSealed("restore", out)
	source := b.flags.String("i", "", "")
	if done, err := b.parse(args); done || err != nil {
		return err
	}
	identities, err := b.identities()
	if err != nil {
		return err
	}
	switch *source {
	case "":
		return errors.New("from what? use -i FILE; xlb restore -h says more")
	case "-":
	default:
		file, err := os.Open(*source)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	if err := datadir.Vacant(*b.dir); err != nil { // before a passphrase costs seconds
		return err
	}
	seen := &counter{r: in, to: progress, what: "restored"}
	opened, err := unseal(seen, identities)
	if err != nil {
		return err
	}
	done, err := datadir.Restore(ctx, *b.dir, opened)
	seen.end()
	if err != nil {
		return fmt.Errorf("nothing was restored: %w", err)
	}
	fmt.Fprintf(out, "%s: %d records at revision %d, from a backup of %s by xlb %s.\n", *b.dir, done.Records.Keys, done.Records.Revision,
		done.Head.At.UTC().Format(time.RFC3339), done.Head.Version)
	fmt.Fprintln(out, "What was revoked or changed since then is as it was. Stop the old server before this one starts: there may be one only.")
	return nil
}

// openBackup asks the server that runs for a backup.
func openBackup(ctx context.Context, dir string) (io.ReadCloser, error) {
	a := overSocket(dir)
	a.client.Timeout = 0 // as long as it goes on: the counter ends one that does not
	req, err := http.NewRequestWithContext(ctx, "GET", a.base+"/admin/backup", nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return nil, problemOf(resp.StatusCode, text)
	}
	return resp.Body, nil
}

// readThrough reads a backup to its end, so that one that is not whole is never kept.
func readThrough(r io.Reader) (records store.Dumped, err error) {
	_, files, err := backup.Read(r, func(_ backup.Head, r io.Reader) (err error) {
		records, err = store.ReadDump(r, func(store.Item) error { return nil })
		return err
	})
	if err != nil {
		return store.Dumped{}, err
	}
	if len(files) == 0 {
		return store.Dumped{}, backup.ErrDamaged
	}
	return records, nil
}

// writeWhole writes a file for us alone that is there when all of it is on the disk, and not before.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

const (
	// stallAfter ends a backup of which nothing comes.
	stallAfter = time.Minute
	// showEvery is how often it is said how far it is.
	showEvery = 250 * time.Millisecond
)

// counter counts what is read, and says so.
type counter struct {
	r     io.Reader
	to    io.Writer // nil: to nobody
	what  string
	stall *time.Timer // begins again with what comes; may be nil
	n     int64
	said  time.Time
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if n > 0 && c.stall != nil {
		c.stall.Reset(stallAfter)
	}
	if c.to != nil && time.Since(c.said) > showEvery {
		c.said = time.Now()
		fmt.Fprintf(c.to, "\r%s %s", size(c.n), c.what)
	}
	return n, err
}

func (c *counter) end() {
	if c.to != nil && !c.said.IsZero() {
		fmt.Fprintf(c.to, "\r%s %s\n", size(c.n), c.what)
	}
}

func size(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// sealed are the flags that backup and restore have in common.
type sealed struct {
	flags                      *flag.FlagSet
	dir, passphrase, list, own *string
	to                         *texts
}

// texts is a flag that may be given several times.
type texts []string

func (t *texts) String() string         { return fmt.Sprint(*t) }
func (t *texts) Set(value string) error { *t = append(*t, value); return nil }

func newSealed(name string, out io.Writer) sealed {
	flags := flag.NewFlagSet("xlb "+name, flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, backupUsage) }
	s := sealed{flags: flags, dir: flags.String("data-dir", orEnv("XLB_DATA_DIR", "./data"), ""), passphrase: flags.String("passphrase-file", "", ""), to: &texts{}}
	if name == "backup" {
		flags.Var(s.to, "recipient", "")
		s.list = flags.String("recipients-file", "", "")
	} else {
		s.own = flags.String("identity", "", "")
	}
	return s
}

func (s sealed) parse(args []string) (done bool, err error) {
	return remote{flags: s.flags}.parse(args)
}
