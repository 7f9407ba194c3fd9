package handlers

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// formatCookie remembers the format that was downloaded last: the commands of the connect page begin with unpacking it.
const formatCookie = "xlb-format"

// formatOf is the format that this browser downloaded last; empty for none.
func formatOf(r *http.Request) string { return preference(r, formatCookie) }

// issueForm is the form of a certificate as it was typed.
type issueForm struct {
	frontend, format, keyType, days, name, csr string
	legacy                                     bool
}

func readIssueForm(r *http.Request) issueForm {
	form := r.PostForm
	return issueForm{
		frontend: form.Get("frontend"), format: form.Get("format"), keyType: form.Get("keyType"), days: form.Get("days"),
		name: strings.TrimSpace(form.Get("name")), csr: strings.TrimSpace(form.Get("csr")), legacy: form.Has("legacy"),
	}
}

// request is what the form asks for. With a signing request the list of key types asks for nothing: it is never empty.
func (f issueForm) request() control.IssueRequest {
	const day = 24 * time.Hour
	r := control.IssueRequest{KeyType: f.keyType, Name: f.name, CSR: f.csr, Format: f.format}
	if f.csr != "" {
		r.KeyType = ""
	}
	if f.format == "p12" && f.legacy {
		r.Format = "p12-legacy"
	}
	if f.days != "" { // more than the most that there may be is as wrong as that one more
		r.Lifetime = time.Duration(min(max(atoi(f.days, 0), 0), control.MaxCertificateDays+1)) * day
		if r.Lifetime == 0 {
			r.Lifetime = -day
		}
	}
	return r
}

// issueErrors puts what the operation says beside the fields of the form, which has days where the operation has seconds.
func issueErrors(wrong map[string]string) map[string]string {
	placed := map[string]string{}
	for field, message := range wrong {
		if field == "lifetimeSec" {
			field = "days"
			message = views.DaysWrong(control.MaxCertificateDays)
		}
		placed[field] = message
	}
	return placed
}

// certificateForm asks for one more certificate of a frontend.
func (p *Pages) certificateForm(w http.ResponseWriter, r *http.Request) error {
	return p.askForCertificate(w, r, http.StatusOK, issueForm{frontend: idOf(r)}, nil)
}

// newCertificateForm asks for one of a frontend to choose.
func (p *Pages) newCertificateForm(w http.ResponseWriter, r *http.Request) error {
	return p.askForCertificate(w, r, http.StatusOK, issueForm{frontend: r.URL.Query().Get("frontend")}, nil)
}

func (p *Pages) askForCertificate(w http.ResponseWriter, r *http.Request, status int, f issueForm, wrong map[string]string) error {
	props := views.CertificateStepProps{
		Chosen: f.frontend, Format: orElse(f.format, "zip"), KeyType: f.keyType, Days: orElse(f.days, "90"), Name: f.name, CSR: f.csr,
		Legacy: f.legacy, Errors: issueErrors(wrong),
	}
	if id := idOf(r); id != "" {
		frontend, err := p.Control.Frontend(r.Context(), id)
		if err != nil {
			return err
		}
		issued, err := p.Control.Certificates(r.Context(), id, "", 1)
		if err != nil {
			return err
		}
		props.FrontendID = frontend.ID
		props.FrontendName = frontend.Name
		props.First = len(issued) == 0
		props.Page = p.base(r, views.TitleCertificate(frontend.Name), "frontends")
	} else {
		frontends, err := p.Control.Frontends(r.Context(), "", 0)
		if err != nil {
			return err
		}
		for _, f := range frontends {
			props.Frontends = append(props.Frontends, views.Choice{ID: f.ID, Name: f.Name})
		}
		props.Page = p.base(r, views.TitleIssue, "certificates")
	}
	name := orElse(props.FrontendName, views.BundleWord)
	props.FileIn = func(format string) string { return control.BundleName(name, format) }
	props.File = props.FileIn(props.Format)
	return p.show(w, r, status, views.CertificateStep(props))
}

// issueBundle issues a certificate: the private key is in the answer and nowhere else.
func (p *Pages) issueBundle(w http.ResponseWriter, r *http.Request) error {
	f := readIssueForm(r)
	if id := idOf(r); id != "" {
		f.frontend = id
	}
	file, err := p.Control.IssueBundle(r.Context(), f.frontend, f.request())
	if wrong, is := fieldErrors(err); is {
		return p.askForCertificate(w, r, http.StatusUnprocessableEntity, f, wrong)
	}
	if err != nil {
		return err
	}
	http.SetCookie(w, cookieOf(formatCookie, orElse(f.format, "zip"), preferenceAge))
	if file.Password != "" {
		return p.showLocked(w, r, f.frontend, file)
	}
	if idOf(r) == "" {
		setNotice(w, "issued", "")
	}
	return sendFile(w, file)
}

// showLocked shows the password of a bundle beside the bundle.
func (p *Pages) showLocked(w http.ResponseWriter, r *http.Request, id string, file control.Download) error {
	frontend, err := p.Control.Frontend(r.Context(), id)
	if err != nil {
		return err
	}
	issued, err := p.Control.Certificates(r.Context(), id, "", 2)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.LockedBundle(views.LockedBundleProps{
		Page: p.base(r, views.TitleCertificate(frontend.Name), "frontends"), FrontendID: frontend.ID, FrontendName: frontend.Name,
		First: idOf(r) != "" && len(issued) == 1, File: file.Name, Password: file.Password,
		Data: "data:" + file.MediaType + ";base64," + base64.StdEncoding.EncodeToString(file.Data),
	}))
}

// renewBundle issues a certificate that follows another.
func (p *Pages) renewBundle(w http.ResponseWriter, r *http.Request) error {
	file, err := p.Control.IssueBundle(r.Context(), idOf(r), control.IssueRequest{Renews: r.PathValue("serial")})
	if err != nil {
		return err
	}
	setNotice(w, "renewed", "") // a page follows the download
	return sendFile(w, file)
}

// sendFile sends a file with a private key. It is stored on neither side: whoever had a cache would have the key.
func sendFile(w http.ResponseWriter, file control.Download) error {
	w.Header().Set("Content-Type", file.MediaType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write(file.Data)
	return ignoreGone(err)
}

// ignoreGone: after the first byte there is nobody to tell.
func ignoreGone(error) error { return nil }
