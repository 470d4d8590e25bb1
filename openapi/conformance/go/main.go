// Command conformance holds the generated Go client against a running service: see ../README.md for
// what each check is.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"headwater/client/management"
	"headwater/client/streaming"
)

// Go takes the white space out of a json.RawMessage, and leaves the digits.
const exact = `{"id":12345678901234567890123,"price":1.10}`

var (
	baseURL = os.Getenv("HEADWATER_URL")
	client  = connect(os.Getenv("HEADWATER_KEY"))
	ctx     = context.Background()
	stdin   = bufio.NewReader(os.Stdin)
)

func main() {
	log.SetFlags(log.Lshortfile)
	for _, check := range []struct {
		name string
		run  func()
	}{{"produce", produce}, {"repeat", repeat}, {"kill", kill}, {"tail", tail}, {"errors", refusals}, {"limit", limit}, {"groups", groups}} {
		check.run()
		fmt.Println("ok", check.name)
	}
}

func produce() {
	topic(1, "go-values")
	first, second, third := record("a"), streaming.RecordInput{}, record("a")
	first.SetValue(json.RawMessage(exact))
	first.SetHeaders(map[string]streaming.HeaderValues{"trace": {"1", "2"}})
	second.SetKeyBase64(base64.StdEncoding.EncodeToString([]byte{0xff, 0}))
	second.SetValueBase64(base64.StdEncoding.EncodeToString([]byte{0, 0xfe}))
	third.SetValue(json.RawMessage("null"))
	_, err := send("go-values", "go-first", []streaming.RecordInput{first, second, third})
	must(err)

	records := readAll("go-values")
	equal(string(value(records[0])), exact)
	equal(len(records[0].GetHeadersBase64()["trace"]), 2)
	equal(records[1].GetKeyBase64(), "/wA=")
	equal(string(value(records[1])), "\x00\xfe")
	equal(records[2].ValueBase64.Get(), nil)
}

func repeat() {
	text := func(text string) []streaming.RecordInput {
		record := record("raw")
		record.SetValueText(text)
		return []streaming.RecordInput{record}
	}
	first, err := send("go-values", "go-again", text("once"))
	must(err)
	again, err := send("go-values", "go-again", text("once"))
	must(err)
	equal(first.Duplicate, false)
	equal(again.Duplicate, true)
	equal(*again.Results[0].Offset, *first.Results[0].Offset)
	_, err = send("go-values", "go-again", text("something else"))
	problem(err, 422, "idempotency_key_reused")
}

// kill has the broker killed between and under produce calls: each record is there once, in order.
func kill() {
	topic(3, "go-kill")
	restarted := make(chan struct{})
	go func() {
		_, err := stdin.ReadString('\n')
		must(err)
		close(restarted)
	}()
	fmt.Println("kill the broker")
	sent, left := 0, 10
	for batch := 0; left > 0; batch++ {
		select {
		case <-restarted:
			left--
		default:
		}
		records := make([]streaming.RecordInput, 50)
		for i := range records {
			records[i] = record(fmt.Sprint("k", sent%7))
			records[i].SetValue(sent)
			sent++
		}
		sendUntilAnswered("go-kill", fmt.Sprint("go-batch-", batch), records)
	}

	numbers := []int{}
	for _, record := range readAll("go-kill") {
		number, err := strconv.Atoi(string(value(record)))
		must(err)
		numbers = append(numbers, number)
	}
	for key := range 7 {
		ofKey := slices.DeleteFunc(slices.Clone(numbers), func(number int) bool { return number%7 != key })
		equal(slices.IsSorted(ofKey), true)
	}
	slices.Sort(numbers)
	equal(len(numbers), sent)
	equal(len(slices.Compact(numbers)), sent)
}

// sendUntilAnswered repeats one batch under its key, by `retryable` and `outcome` alone.
func sendUntilAnswered(topic, key string, records []streaming.RecordInput) {
	wait := 10 * time.Millisecond
	for {
		_, err := send(topic, key, records)
		if err == nil {
			return
		}
		// Without a problem there was no answer: nobody knows, and the key makes a repeat safe.
		if found := problemOf(err); found != nil && (!found.Retryable || found.Outcome == streaming.OUTCOME_APPLIED) {
			log.Panic(err)
		}
		time.Sleep(wait)
		wait = min(2*wait, time.Second)
	}
}

// tail reads NDJSON line by line: the generated call would wait for an end.
func tail() {
	request, err := http.NewRequestWithContext(ctx, "GET", baseURL+"/topics/go-values/tail.ndjson?from=tail-1", nil)
	must(err)
	request.Header.Set("Authorization", "Bearer "+os.Getenv("HEADWATER_KEY"))
	response, err := http.DefaultClient.Do(request)
	must(err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for _, want := range []string{"once", "live"} {
		var line streaming.RecordOutput
		for line.ValueText == nil && lines.Scan() {
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue // a cursor
			}
		}
		equal(line.GetValueText(), want)
		live := record("tail")
		live.SetValueText("live")
		_, err := send("go-values", "go-live", []streaming.RecordInput{live})
		must(err)
	}
}

func refusals() {
	_, _, err := connect("hw_no_such_key").TopicsAPI.ListTopics(ctx).Execute()
	problem(err, 401, "unauthenticated")
	_, _, err = client.TopicsAPI.GetTopic(ctx, "go-none").Execute()
	problem(err, 404, "topic_not_found")
	_, _, err = client.RecordsAPI.FetchPartition(ctx, "go-values", 0).Offset(1_000_000).Execute()
	beyond := problem(err, 416, "offset_out_of_range")
	equal(beyond.GetLogStart(), 0)
	equal(beyond.GetHighWatermark() > 3, true)
	_, _, err = client.RecordsAPI.FetchPartition(ctx, "go-values", 0).MaxRecords(0).Execute()
	equal(problem(err, 400, "invalid_request").Errors[0].Pointer, "max_records")
}

// limit makes a key of its own over the management API, which may call once a second.
func limit() {
	root, err := url.Parse(baseURL)
	must(err)
	configuration := management.NewConfiguration()
	configuration.Servers = management.ServerConfigurations{{URL: root.Scheme + "://" + root.Host + "/v1"}}
	owner := management.NewAPIClient(configuration)
	signIn := management.NewSignIn(os.Getenv("SIGN_IN_EMAIL"), os.Getenv("SIGN_IN_PASSWORD"))
	session, _, err := owner.SessionsAPI.CreateSession(ctx).SignIn(*signIn).Execute()
	must(err)
	configuration.AddDefaultHeader("Authorization", "Bearer "+session.AccessToken)
	scope := management.NewScope([]management.Grant{management.GRANT_DESCRIBE})
	scope.SetTopic("*")
	spec := management.NewKeySpec([]management.Scope{*scope})
	quotas := management.NewKeyQuotas()
	quotas.SetRequestsPerSecond(1)
	spec.SetQuotas(*quotas)
	key, _, err := owner.KeysAPI.PutKey(ctx, "demo", "go-slow").KeySpec(*spec).Execute()
	must(err)

	slow := connect(key.GetSecret())
	for err == nil {
		_, _, err = slow.TopicsAPI.ListTopics(ctx).Execute()
	}
	over := problem(err, 429, "quota_exceeded")
	equal(over.Retryable, true)
	equal(over.GetRetryAfterMs() > 0, true)
}

// groups has a member taken over by another instance, which reads what was not committed, and commits it.
func groups() {
	topic(2, "go-group")
	records := make([]streaming.RecordInput, 200)
	for n := range records {
		records[n] = record(fmt.Sprint("k", n%7))
		records[n].SetValue(n)
	}
	_, err := send("go-group", "go-group", records)
	must(err)
	api := client.GroupsAPI
	spec := streaming.NewGroupSpec([]string{"go-group"})
	_, _, err = api.EnsureGroup(ctx, "go-group").GroupSpec(*spec).Execute()
	must(err)
	join := func(instance string) *streaming.PollRequest {
		request := streaming.NewJoinRequest()
		request.SetInstance(instance)
		joined, _, err := api.JoinGroup(ctx, "go-group", "worker").JoinRequest(*request).Execute()
		must(err)
		return streaming.NewPollRequest(joined.Epoch)
	}
	first := join("first")
	second := join("second")
	_, _, err = api.PollGroup(ctx, "go-group", "worker").PollRequest(*first).Execute()
	problem(err, 409, "member_fenced")
	for read := 0; read < 200; {
		page, _, err := api.PollGroup(ctx, "go-group", "worker").PollRequest(*second).Execute()
		must(err)
		read += len(page.Records)
		second.SetEpoch(page.Epoch)
		second.SetCommit(page.Cursor)
	}
	_, _, err = api.PollGroup(ctx, "go-group", "worker").PollRequest(*second).Execute()
	must(err)
	_, err = api.LeaveGroup(ctx, "go-group", "worker").Execute()
	must(err)
	offsets, _, err := api.ListGroupOffsets(ctx, "go-group").Execute()
	must(err)
	for _, position := range offsets.Positions {
		equal(position.GetLag(), 0)
	}
	back := streaming.NewResetRequest(streaming.ResetToEarliest)
	back.SetDryRun(true)
	reset, _, err := api.ResetGroupOffsets(ctx, "go-group").ResetRequest(*back).Execute()
	must(err)
	equal(reset.Partitions[0].Before+reset.Partitions[1].Before, 200)
	equal(reset.Partitions[0].After+reset.Partitions[1].After, 0)
}

func connect(key string) *streaming.APIClient {
	configuration := streaming.NewConfiguration()
	configuration.Servers = streaming.ServerConfigurations{{URL: baseURL}}
	configuration.AddDefaultHeader("Authorization", "Bearer "+key)
	return streaming.NewAPIClient(configuration)
}

func topic(partitions int32, name string) {
	spec := streaming.NewTopicSpec()
	spec.SetPartitions(partitions)
	_, _, err := client.TopicsAPI.EnsureTopic(ctx, name).TopicSpec(*spec).Execute()
	must(err)
}

func record(key string) streaming.RecordInput {
	record := streaming.RecordInput{}
	record.SetKey(key)
	return record
}

func send(topic, key string, records []streaming.RecordInput) (*streaming.ProduceResponse, error) {
	body := streaming.NewProduceRequest(records)
	answer, _, err := client.RecordsAPI.ProduceRecords(ctx, topic).IdempotencyKey(key).ProduceRequest(*body).Execute()
	return answer, err
}

func readAll(topic string) (records []streaming.RecordOutput) {
	page, _, err := client.RecordsAPI.FetchTopic(ctx, topic).From("earliest").MaxRecords(100).Encoding("base64").Execute()
	for must(err); len(page.Records) > 0; must(err) {
		records = append(records, page.Records...)
		page, _, err = client.RecordsAPI.FetchTopic(ctx, topic).Cursor(page.Cursor).MaxRecords(100).Encoding("base64").Execute()
	}
	return records
}

// value is the bytes of a record's value: what was read with `encoding=base64` is exact.
func value(record streaming.RecordOutput) []byte {
	bytes, err := base64.StdEncoding.DecodeString(record.GetValueBase64())
	must(err)
	return bytes
}

func problemOf(err error) *streaming.Problem {
	var refused *streaming.GenericOpenAPIError
	if errors.As(err, &refused) {
		if problem, ok := refused.Model().(streaming.Problem); ok {
			return &problem
		}
	}
	return nil
}

func problem(err error, status int32, code string) *streaming.Problem {
	found := problemOf(err)
	if found == nil {
		log.Panicf("expected %s, got %v", code, err)
	}
	equal(found.Status, status)
	equal(found.Code, code)
	equal(found.Outcome, streaming.OUTCOME_NOT_APPLIED)
	return found
}

func equal[T comparable](found, wanted T) {
	if found != wanted {
		_ = log.Output(2, fmt.Sprintf("%v instead of %v", found, wanted))
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		log.Panic(err)
	}
}
