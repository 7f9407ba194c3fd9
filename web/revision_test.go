package web

import (
	"regexp"
	"strings"
	"testing"
)

// A frontend's revisions are listed and shown, differ as told, and one of them is set again as a new one, unless somebody
// was faster or it is not allowed any more.
func TestRevisionsOfAFrontend(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	path := "/api/v1/client/frontend/" + id
	c.call("PATCH", path, `{"name":"two","queueLimit":5,"routes":[{"dest":"10.0.0.1:80"},{"dest":"10.0.0.2:80","weight":3}]}`)
	before := c.call("GET", path, "")
	c.call("PATCH", path, `{"name":"three","queueLimit":null,"routes":[{"dest":"10.0.0.3:80"}]}`)
	list := c.call("GET", path+"/revisions", "").object(t)["items"].([]any)
	if len(list) != 3 || list[0].(map[string]any)["number"] != 3.0 || list[1].(map[string]any)["actor"] != c.uuid {
		t.Fatalf("got %v", list)
	}
	two := c.call("GET", path+"/revisions/2", "").object(t)["frontend"].(map[string]any)
	if two["name"] != "two" || two["queueLimit"] != 5.0 || len(two["routes"].([]any)) != 2 || two["uuid"] != id {
		t.Errorf("revision 2 is %v", two)
	}
	differ := c.call("GET", path+"/revisions/2/diff?to=3", "").object(t)
	was, is := differ["before"].(map[string]any), differ["after"].(map[string]any)
	if was["queueLimit"] != 5.0 || is["queueLimit"] != 1024.0 || was["routes[1].weight"] != 3.0 || is["routes[0].dest"] != "10.0.0.3:80" || was["name"] != "two" {
		t.Errorf("got %v", differ)
	}
	if a := c.call("POST", path+"/revisions/2/restore", "", "If-Match", before.header.Get("ETag")); a.status != 412 {
		t.Errorf("against a change of somebody else: %d %s, want 412", a.status, a.body)
	}
	back := c.call("POST", path+"/revisions/2/restore", "")
	now := back.object(t)
	if back.status != 200 || back.header.Get("ETag") == "" || now["name"] != "two" || len(now["routes"].([]any)) != 2 || now["queueLimit"] != 5.0 {
		t.Errorf("got %d %s, want 200 with the settings of the second revision", back.status, back.body)
	}
	if again := c.call("GET", path+"/revisions/2/diff", "").object(t); len(again["before"].(map[string]any))+len(again["after"].(map[string]any)) != 0 {
		t.Errorf("after going back it differs by %v", again)
	}
	if newest := c.call("GET", path+"/revisions?limit=1", "").object(t); newest["next"] != "4" || newest["items"].([]any)[0].(map[string]any)["number"] != 4.0 {
		t.Errorf("got %v", newest)
	}
	if last := c.trail("?limit=1")[0]; last["action"] != "frontend.restore" {
		t.Errorf("the trail says %v", last["action"])
	}
	for _, wrong := range []string{"/revisions/9", "/revisions/9/diff", "/revisions/2/diff?to=9"} {
		if a := c.call("GET", path+wrong, ""); a.status != 404 {
			t.Errorf("%s: %d", wrong, a.status)
		}
	}
	if a := f.signUp("other").call("POST", path+"/revisions/2/restore", ""); a.status != 404 {
		t.Errorf("of somebody else: %d", a.status)
	}
}

// The activity page leads to a page that asks with the diff, and goes back from there; an old page goes back on nothing.
func TestGoBackByThePages(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80")
	path := "/api/v1/client/frontend/" + id
	c.call("PATCH", path, `{"name":"renamed"}`)
	page := "/frontends/" + id + "/revisions/1"
	if a := f.do("GET", "/activity", nil, "Cookie", cookie); !strings.Contains(a.body, `href="`+page+`">Go back to revision 1`) {
		t.Fatal("the activity page leads back nowhere")
	}
	asked := f.do("GET", page, nil, "Cookie", cookie)
	for _, want := range []string{"name: renamed", "name: web", "Go back to revision 1?", `method="post"`} {
		if asked.status != 200 || !strings.Contains(asked.body, want) {
			t.Errorf("%d, the page lacks %q", asked.status, want)
		}
	}
	seen := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(asked.body)[1]
	c.call("PATCH", path, `{"queueLimit":9}`)
	if a := f.postForm(page, "revision="+seen, "Cookie", cookie); a.status != 412 {
		t.Errorf("an old page: %d, want 412", a.status)
	}
	fresh := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(f.do("GET", page, nil, "Cookie", cookie).body)[1]
	done := f.postForm(page, "revision="+fresh, "Cookie", cookie)
	if done.status != 303 || done.header.Get("Location") != "/frontends/"+id || !strings.Contains(f.follow(done, cookie).body, "Set back.") {
		t.Errorf("%d to %s", done.status, done.header.Get("Location"))
	}
	if now := c.call("GET", path, "").object(t); now["name"] != "web" || now["queueLimit"] != 1024.0 {
		t.Errorf("it is %v", now)
	}
	if a := f.do("GET", "/frontends/"+id+"/revisions/4", nil, "Cookie", cookie); !strings.Contains(a.body, "nothing would be different") {
		t.Error("the page of what it is now asks all the same")
	}
	if a := f.do("GET", "/frontends/"+id+"/revisions/x", nil, "Cookie", cookie); a.status != 404 {
		t.Errorf("a revision that is no number: %d", a.status)
	}
}
