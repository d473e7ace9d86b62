// What Prometheus' own parsers make of a page: the judge of ours, and its rival.
//
//	promparse dump  text|openmetrics FILE          one line per series, or where it stops
//	promparse bench text|openmetrics FILE SECONDS  megabytes a second, two ways
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func parser(page []byte, format string, symbols *labels.SymbolTable) textparse.Parser {
	kind := "text/plain; version=0.0.4"
	if format == "openmetrics" {
		kind = "application/openmetrics-text; version=1.0.0"
	}
	parser, err := textparse.New(page, kind, symbols, textparse.ParserOptions{})
	if err != nil {
		fail(err)
	}
	return parser
}

func main() {
	if len(os.Args) < 4 {
		fail(errors.New("promparse dump|bench text|openmetrics FILE [SECONDS]"))
	}
	page, err := os.ReadFile(os.Args[3])
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "dump":
		dump(page, os.Args[2])
	case "bench":
		seconds, err := strconv.ParseFloat(os.Args[4], 64)
		if err != nil {
			fail(err)
		}
		runtime.GOMAXPROCS(1)
		bench(page, os.Args[2], time.Duration(seconds*float64(time.Second)))
	}
}

func dump(page []byte, format string) {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	parser := parser(page, format, labels.NewSymbolTable())
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Fprintf(out, "ERROR\t%q\n", err)
			return
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, at, value := parser.Series()
		var series labels.Labels
		parser.Labels(&series)
		var told []string
		series.Range(func(label labels.Label) { told = append(told, label.Name+"="+written(label)) })
		sort.Strings(told)
		when := "-"
		if at != nil {
			when = strconv.FormatInt(*at, 10)
		}
		bits := math.Float64bits(value)
		if math.IsNaN(value) {
			bits = 0x7ff8000000000000
		}
		fmt.Fprintf(out, "%s\t%016x\t%s\n", strings.Join(told, ","), bits, when)
	}
}

// written is a label's value; that of a bucket or quantile as the number it is, because the parser writes it anew.
func written(label labels.Label) string {
	if label.Name == "le" || label.Name == "quantile" {
		if number, err := strconv.ParseFloat(label.Value, 64); err == nil {
			return fmt.Sprintf("#%016x", math.Float64bits(number))
		}
	}
	return strconv.Quote(label.Value)
}

func bench(page []byte, format string, during time.Duration) {
	for _, way := range []string{"series", "labels"} {
		symbols := labels.NewSymbolTable()
		begun, bytes, series := time.Now(), 0, 0
		for time.Since(begun) < during {
			parser := parser(page, format, symbols)
			for {
				entry, err := parser.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					fail(err)
				}
				if entry != textparse.EntrySeries {
					continue
				}
				series++
				parser.Series()
				if way == "labels" {
					var of labels.Labels
					parser.Labels(&of)
				}
			}
			bytes += len(page)
		}
		seconds := time.Since(begun).Seconds()
		fmt.Printf("%s %.1f %.0f\n", way, float64(bytes)/1e6/seconds, float64(series)/seconds)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/prometheus/prometheus" {
				fmt.Printf("version %s %s\n", module.Version, runtime.Version())
			}
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "promparse:", err)
	os.Exit(1)
}
