package memory

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
)

// readJSON reads {"namespace":[{"key":…,"value":"…","namespace":…,"timestamp":milliseconds},…],…}. Every value is a text, such as the
// tables hold: the command `memory query` fails for a whole namespace where one is anything else.
func readJSON(path string) (Memory, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Memory{}, err
	}
	if limit := usualLimits().Namespace; info.Size() > limit {
		return Memory{}, errors.New("it is too large for a JSON file")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Memory{}, err
	}
	_, m, err := parseJSON(content)
	return m, err
}

func parseJSON(content []byte) (map[string][]exported, Memory, error) {
	var all map[string][]exported
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, Memory{}, errors.New("it is no memory-store.json: an object of lists of entries is expected")
	}
	var m Memory
	for namespace, entries := range all {
		for _, e := range entries {
			r := Record{Namespace: orDefault(namespace), Key: e.Key, Value: valueOfText(e.Value), CreatedAt: e.Timestamp, UpdatedAt: e.Timestamp, Stamp: max(e.Timestamp, 1)}
			if r.Key == "" || r.Value == nil {
				continue
			}
			m.Entries = append(m.Entries, r)
		}
	}
	return all, m, nil
}

// valueOfText reads a value that others of the layout's versions may have written as JSON; nil is no value.
func valueOfText(value json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(value, &text) != nil || string(value) == "null" {
		return value
	}
	return decode(text)
}

// exportJSON keeps the entries that the file has, in their order, and puts new ones behind them. The layout knows of no deletions.
func exportJSON(path string, m Memory) error {
	content, err := readIfThere(path)
	if err != nil {
		return err
	}
	all := map[string][]exported{}
	if len(content) > 0 {
		if all, _, err = parseJSON(content); err != nil {
			return err
		}
	}
	if all == nil {
		all = map[string][]exported{}
	}
	places := placesOf(all)
	for _, r := range m.Entries {
		text, err := encode(r.Value)
		if err != nil {
			return err
		}
		e, n := exported{r.Key, quote(text), r.Namespace, r.Stamp}, name{r.Namespace, r.Key}
		place, there := places[n]
		switch {
		case !there:
			all[r.Namespace] = append(all[r.Namespace], e)
		case r.Stamp > all[r.Namespace][place].Timestamp:
			all[r.Namespace][place] = e
		}
	}
	return writeBeside(path, append(marshal(all), '\n'))
}

func placesOf(all map[string][]exported) map[name]int {
	places := map[name]int{}
	for namespace, entries := range all {
		for i, e := range entries {
			places[name{namespace, e.Key}] = i
		}
	}
	return places
}

func number(n int64) json.RawMessage { return json.RawMessage(strconv.FormatInt(n, 10)) }
