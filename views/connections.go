package views

import "time"

// Connection is a live connection.
type Connection struct {
	ID, Serial, Name, Source string
	Route                    string // "" while it waits for one
	Since                    time.Time
	Age, Idle                time.Duration
	BytesIn, BytesOut        int64
}

// ConnectionTableProps is the table of live connections of a frontend, newest first.
type ConnectionTableProps struct {
	FrontendID   string
	Rows         []Connection
	Query, Route string // filters, "" for all
	Total        int    // that the filters select; more than the pager's when there are more than can be listed
	Pager        Pager
}

func (p ConnectionTableProps) filtered() bool { return p.Query != "" || p.Route != "" }

// Ended is a connection that has ended.
type Ended struct {
	At                          time.Time
	Serial, Name, Source, Route string // Route is "" when none took it
	Lasted                      time.Duration
	BytesIn, BytesOut           int64
	Reason                      string // code
}

// EndedTableProps is the connections of a frontend that have ended, newest first.
type EndedTableProps struct {
	FrontendID string
	Rows       []Ended
	Pager      Pager
}

// ConnectionsProps is the page of both.
type ConnectionsProps struct {
	Page  Page
	Head  FrontendHead
	Table ConnectionTableProps
	Ended EndedTableProps
}

// CloseQuestionProps asks before many connections are closed.
type CloseQuestionProps struct {
	Page         Page
	FrontendName string
	IDs          []string
	Table        ConnectionTableProps // where from
}
