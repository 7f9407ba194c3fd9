package handlers

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const auditURL = apiPrefix + "/client/audit"

// AuditFilter selects records of the audit chain.
type AuditFilter struct {
	Before  uint64    `query:"before" doc:"The next of the page before: goes on before this number"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" doc:"Most items in the answer. Default: 100"`
	Action  string    `query:"action" maxLength:"64" doc:"Such as frontend.update, or frontend for all about frontends"`
	Outcome string    `query:"outcome" enum:"done,refused" doc:"Default: both"`
	Object  string    `query:"object" maxLength:"100" doc:"A part of the object's name, such as a uuid or a serial"`
	From    time.Time `query:"from" doc:"A moment as in RFC 3339, included"`
	Until   time.Time `query:"until" doc:"A moment as in RFC 3339, not included"`
}

func (f AuditFilter) query() control.AuditQuery {
	return control.AuditQuery{
		Before: f.Before, Limit: f.Limit, Action: f.Action, Outcome: f.Outcome, Object: f.Object, From: f.From, Until: f.Until,
	}
}

type auditBody struct {
	Seq        uint64            `json:"seq" doc:"Counts the records of the client from 1"`
	At         timestamp         `json:"at"`
	Actor      string            `json:"actor" doc:"uuid of the client that did it: the own one, or an administrator; operator: somebody with xlb admin"`
	Credential string            `json:"credential" doc:"What it came with, such as a session or a token, and the beginning of its id"`
	Via        string            `json:"via" doc:"api, page, certificate or command"`
	Address    string            `json:"address"`
	RequestID  string            `json:"requestId" doc:"Joins the record with the server's log"`
	Action     string            `json:"action"`
	Object     string            `json:"object" doc:"What it was about, empty for the client itself or what was just made"`
	Outcome    string            `json:"outcome" doc:"done or refused"`
	Reason     string            `json:"reason" doc:"Of a refusal, or how many connections were closed"`
	Changes    []auditChangeBody `json:"changes" nullable:"false"`
	Revision   string            `json:"revision" doc:"Of the store, that the change and this record were written with"`
	Hash       string            `json:"hash" doc:"SHA-256 over the hash of the record before and this record, as it is stored"`
}

type auditChangeBody struct {
	Kind   string                     `json:"kind" doc:"client, frontend, certificate, invite or session"`
	ID     string                     `json:"id"`
	Before map[string]json.RawMessage `json:"before" doc:"The fields that are different now, as they were; of a secret only that it has changed"`
	After  map[string]json.RawMessage `json:"after" doc:"The same fields, as they are"`
}

type auditListBody struct {
	Items []auditBody `json:"items" nullable:"false"`
	Next  *string     `json:"next" doc:"For before; null when this is the end. A page may be empty and still have one: so many records fitted to nothing"`
}

type auditListOutput struct{ Body auditListBody }

type auditCheckBody struct {
	OK      bool   `json:"ok"`
	Records int    `json:"records"`
	First   uint64 `json:"first" doc:"Number of the oldest record that is kept, 0 without any"`
	Last    uint64 `json:"last" doc:"Of the newest"`
	Broken  uint64 `json:"broken" doc:"Number of the first record that does not fit to the one before it, or is missing; 0 when all fit"`
}

type auditCheckOutput struct{ Body auditCheckBody }

type auditFileOutput struct {
	ContentType        string `header:"Content-Type"`
	ContentDisposition string `header:"Content-Disposition"`
	Body               []byte
}

func (a *jsonAPI) registerAudit() {
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: auditURL + path, Summary: summary, Security: withBearer, Tags: []string{"Audit"}}
	}
	register(a, op("list-audit", "", "Who did what to the client's things, newest first"), a.listAudit)
	register(a, op("check-audit", "/check", "Follow the chain of records from the oldest that is kept to its end"), a.checkAudit)
	file := op("export-audit", ".csv", "The same list as a table, at most 1000 rows")
	file.Responses = map[string]*huma.Response{"200": {
		Description: "Comma separated, with a header", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	register(a, file, a.exportAudit)
}

func (a *jsonAPI) listAudit(ctx context.Context, in *AuditFilter) (*auditListOutput, error) {
	return auditListOf(a.control.Audits(ctx, in.query()))
}

func (a *jsonAPI) listOperatorAudit(ctx context.Context, in *AuditFilter) (*auditListOutput, error) {
	return auditListOf(a.control.OperatorAudits(ctx, in.query()))
}

func auditListOf(found control.AuditList, err error) (*auditListOutput, error) {
	if err != nil {
		return nil, inQuery(err)
	}
	body := auditListBody{Items: make([]auditBody, 0, len(found.Items))}
	for _, one := range found.Items {
		body.Items = append(body.Items, auditBodyOf(one))
	}
	if found.Next > 0 {
		next := strconv.FormatUint(found.Next, 10)
		body.Next = &next
	}
	return &auditListOutput{body}, nil
}

func auditBodyOf(one control.Audit) auditBody {
	body := auditBody{
		Seq: one.Seq, At: timestampOf(one.At), Actor: one.Actor, Credential: one.Credential, Via: one.Via, Address: one.Address,
		RequestID: one.RequestID, Action: one.Action, Object: one.Object, Outcome: one.Outcome, Reason: one.Reason,
		Changes: make([]auditChangeBody, 0, len(one.Changes)), Revision: strconv.FormatUint(one.Revision, 10), Hash: one.Hash,
	}
	for _, change := range one.Changes {
		body.Changes = append(body.Changes, auditChangeBody(change))
	}
	return body
}

func (a *jsonAPI) checkAudit(ctx context.Context, _ *struct{}) (*auditCheckOutput, error) {
	check, err := a.control.CheckAudit(ctx)
	if err != nil {
		return nil, err
	}
	return &auditCheckOutput{auditCheckBody{
		OK: check.Broken == 0, Records: check.Records, First: check.First, Last: check.Last, Broken: check.Broken,
	}}, nil
}

// exportAudit writes what people open in a spreadsheet. A text that begins like a formula gets an apostrophe in front,
// because a spreadsheet would run it.
func (a *jsonAPI) exportAudit(ctx context.Context, in *AuditFilter) (*auditFileOutput, error) {
	if in.Limit == 0 {
		in.Limit = control.MaxAudits // who wants a file wants all of it: there is no next page
	}
	found, err := a.control.Audits(ctx, in.query())
	if err != nil {
		return nil, inQuery(err)
	}
	text, err := auditCSV(found.Items)
	return &auditFileOutput{ContentType: "text/csv; charset=utf-8", ContentDisposition: `attachment; filename="xlb-audit.csv"`, Body: text}, err
}

func auditCSV(records []control.Audit) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write([]string{"seq", "at", "outcome", "action", "object", "actor", "credential", "via", "address", "requestId", "reason", "changes", "revision", "hash"})
	for _, r := range records {
		changes := make([]auditChangeBody, 0, len(r.Changes))
		for _, change := range r.Changes {
			changes = append(changes, auditChangeBody(change))
		}
		text, err := json.Marshal(changes)
		if err != nil {
			return nil, err
		}
		row := []string{
			strconv.FormatUint(r.Seq, 10), r.At.UTC().Format(time.RFC3339Nano), r.Outcome, r.Action, r.Object, r.Actor, r.Credential, r.Via,
			r.Address, r.RequestID, r.Reason, string(text), strconv.FormatUint(r.Revision, 10), r.Hash,
		}
		for i, cell := range row {
			row[i] = harmless(cell)
		}
		w.Write(row)
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// harmless is a cell that no spreadsheet takes for a formula.
func harmless(cell string) string {
	if cell != "" && bytes.ContainsRune([]byte("=+-@\t\r"), rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
