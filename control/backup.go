package control

import (
	"context"
	"encoding/hex"
	"io"
	"strconv"

	"github.com/xdire/xlb/internal/backup"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Backup writes all that a server needs to go on elsewhere to w: the records at one revision, the authority and the master
// key, not encrypted. The server goes on meanwhile. version is of this xlb. Only for who runs the server.
func (c *Control) Backup(ctx context.Context, version string, w io.Writer) (err error) {
	ctx, a, err := c.may(ctx, actBackup, "")
	if err != nil {
		return err
	}
	files := []backup.File{
		{Name: backup.AuthorityName, Data: c.AuthorityPEM()},
		{Name: backup.MasterKeyName, Data: []byte(hex.EncodeToString(c.cfg.MasterKey) + "\n")},
	}
	if current := c.set().In(pki.Current)[0]; !current.Outside { // its owner keeps the key of another
		key, err := current.KeyPEM()
		if err != nil {
			return err
		}
		files = append(files, backup.File{Name: backup.AuthorityKeyName, Data: key})
	}
	var done store.Dumped
	err = backup.Write(w, backup.Head{Version: version, At: c.cfg.Now().UTC()}, files, func(w io.Writer) (err error) {
		done, err = c.store.Dump(ctx, w)
		return err
	})
	entry := c.auditEntry(a, actBackup, "", store.AuditDone)
	entry.Reason = strconv.Itoa(done.Keys) + " records"
	if err != nil {
		entry.Outcome = store.AuditRefused
		entry.Reason = "It was not finished."
	}
	c.putAudit(context.WithoutCancel(ctx), entry) // who has read it all may be gone by now
	return err
}
