package handlers

import (
	"net/http"
	"slices"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// certificate shows one certificate: what it is, who uses it, and what was done with it.
func (p *Pages) certificate(w http.ResponseWriter, r *http.Request) error {
	s, err := p.Control.Status(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	c, err := p.Control.Certificate(r.Context(), s.ID, r.PathValue("serial"))
	if err != nil {
		return err
	}
	rows, err := p.withUse(r, certificateRows([]control.Certificate{c}, map[string]string{s.ID: s.Name}, time.Now()))
	if err != nil {
		return err
	}
	use, err := p.certificateUse(r, s.ID, c.Serial)
	if err != nil {
		return err
	}
	changes, err := p.Control.Audits(r.Context(), control.AuditQuery{Text: c.Serial, Action: "certificate", Limit: certificateParts})
	if err != nil {
		return err
	}
	props := views.CertificateProps{
		Page: p.base(r, views.TitleOneCertificate(c.Name, c.Serial), "certificates"), Certificate: rows[0],
		File: control.BundleName(s.Name, ""), Use: use,
	}
	props.Page.Live = liveURL("certificate", nil, "id", s.ID, "serial", c.Serial)
	for _, record := range changes.Items {
		props.Changes = append(props.Changes, eventOf(record, map[string]string{s.ID: s.Name}, props.Page.Client))
	}
	return p.show(w, r, http.StatusOK, views.CertificatePage(props))
}

// certificateParts is how many rows each list of a certificate's page has; what is more stands on the tabs of the frontend.
const certificateParts = 10

// certificateUse is who uses a certificate now, who did, and who was turned away with it.
func (p *Pages) certificateUse(r *http.Request, frontendID, serial string) (views.CertificateUseProps, error) {
	use := views.CertificateUseProps{Now: time.Now(), FrontendID: frontendID, Serial: serial}
	open, err := p.Control.Connections(r.Context(), frontendID, control.ConnectionQuery{Text: serial, Limit: certificateParts})
	if err != nil {
		return use, err
	}
	use.Total = open.Total
	for _, c := range open.Items {
		use.Connections = append(use.Connections, connectionRow(c))
	}
	ended, err := p.Control.Ended(r.Context(), frontendID, 0)
	if err != nil {
		return use, err
	}
	for _, c := range ended {
		if c.Serial == serial && len(use.Ended) < certificateParts {
			use.Ended = append(use.Ended, endedRow(c))
		}
	}
	use.Refused, err = p.refusedWith(r, frontendID, serial)
	return use, err
}

// refusedWith is who was turned away with a certificate lately.
func (p *Pages) refusedWith(r *http.Request, frontendID, serial string) ([]views.RefusedRow, error) {
	f, err := p.Control.Frontend(r.Context(), frontendID)
	if err != nil {
		return nil, err
	}
	all, err := p.Control.Refused(r.Context(), frontendID, control.RefusedQuery{})
	if err != nil {
		return nil, err
	}
	var rows []views.RefusedRow
	for _, a := range all {
		if a.Serial == serial && len(rows) < certificateParts {
			rows = append(rows, p.refusedRow(r, a, f))
		}
	}
	return rows, nil
}

// frontendCertificates lists the certificates of one frontend.
func (p *Pages) frontendCertificates(w http.ResponseWriter, r *http.Request) error {
	head, err := p.head(r, idOf(r), "certificates")
	if err != nil {
		return err
	}
	f := head.Frontend
	issued, err := p.Control.Certificates(r.Context(), f.ID, "", 0)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleFrontendCertificates(f.Name), "frontends")
	page.Live = liveURL("head", nil, "id", f.ID, "tab", "certificates")
	rows, err := p.withUse(r, certificateRows(issued, map[string]string{f.ID: f.Name}, page.Now))
	if err != nil {
		return err
	}
	shown, list, part := certificateList(rows, "/frontends/"+f.ID+"/certificates", r.URL.Query())
	return p.show(w, r, http.StatusOK, views.FrontendCertificates(views.FrontendCertificatesProps{
		Page: page, Head: head, Certificates: shown, List: list, Total: len(rows), Pager: part,
	}))
}

func (p *Pages) certificates(w http.ResponseWriter, r *http.Request) error {
	statuses, err := p.Control.Statuses(r.Context())
	if err != nil {
		return err
	}
	issued, err := p.Control.Certificates(r.Context(), "", "", 0)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, s := range statuses {
		names[s.ID] = s.Name
	}
	rows, err := p.withUse(r, certificateRows(issued, names, time.Now()))
	if err != nil {
		return err
	}
	shown, list, part := certificateList(rows, "/certificates", r.URL.Query())
	return p.show(w, r, http.StatusOK, views.Certificates(views.CertificatesProps{
		Page: p.base(r, views.TitleCertificates, "certificates"), Certificates: shown, List: list, Total: len(rows), Pager: part,
		Frontends: len(statuses), AuthorityURL: authorityURL,
	}))
}

// certificateRows are the certificates as shown, newest first. names are those of the frontends that exist.
func certificateRows(issued []control.Certificate, names map[string]string, now time.Time) []views.Certificate {
	rows := make([]views.Certificate, 0, len(issued))
	for _, c := range issued {
		name, exists := names[c.FrontendID]
		rows = append(rows, views.Certificate{
			Serial: c.Serial, Name: c.Name, FrontendID: c.FrontendID, FrontendName: name, KeyType: c.KeyType, Fingerprint: c.Fingerprint,
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, IssuedAt: c.IssuedAt, State: c.State(exists, now),
			RevokedAt: c.RevokedAt, Reason: c.Reason, Renews: c.Renews,
		})
	}
	slices.SortStableFunc(rows, func(a, b views.Certificate) int { return b.IssuedAt.Compare(a.IssuedAt) })
	return rows
}

// withUse adds how certificates are used.
func (p *Pages) withUse(r *http.Request, rows []views.Certificate) ([]views.Certificate, error) {
	uses, err := p.Control.CertificateUses(r.Context())
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Open = uses[rows[i].Serial].Open
		rows[i].UsedAt = uses[rows[i].Serial].At
	}
	return rows, nil
}

func idOf(r *http.Request) string { return r.PathValue("uuid") }
