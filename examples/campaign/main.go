// Campaign checks the From and To of a whole campaign of calls before the first is placed.
//
//	campaign -csv calls.csv -out checked.csv
//	campaign -ndjson - < calls.ndjson
//
// A CSV file starts with a header that names a from and a to column, in any order and any case; an NDJSON
// file has one object a line, with the fields from and to. With -out every row is written, in its order and
// with all that it has, and five columns or fields more:
//
//	verdict  accepted or refused
//	codes    the vendor's code of each problem
//	rules    the rule of each problem
//	fixes    what to write in from or to instead, where there is exactly one candidate
//	line     the line of the input that the row starts on, from 1
//
// A row that cannot be read is refused too, under a rule of this program: row.syntax, row.columns (more or
// fewer than the header has) or row.length (more than 64 KiB). Only its line says what it was.
//
// The summary goes to standard output, or to standard error if -out is "-". The exit code is 0 if every row
// was accepted, 1 if some were refused, 2 if the input was not checked to its end: wrong usage, an I/O
// error, an interrupt. What was written until then is whole rows, and the error says after which it stopped.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

func main() {
	csvName := flag.String("csv", "", "check the CSV `file`, - for standard input")
	ndjsonName := flag.String("ndjson", "", "check the NDJSON `file`, - for standard input")
	outName := flag.String("out", "", "write each row with its verdict to `file`, - for standard output; numbers and names stay in the clear")
	flag.Parse()
	if (*csvName == "") == (*ndjsonName == "") || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "campaign: want either -csv or -ndjson, and no arguments")
		flag.Usage()
		os.Exit(2)
	}

	total, err := run(cmp.Or(*csvName, *ndjsonName), *csvName != "", *outName)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(2)
	case total.refused > 0:
		os.Exit(1)
	}
}

// run checks the rows of the file called name.
func run(name string, isCSV bool, outName string) (total totals, err error) {
	in := os.Stdin
	if name != "-" {
		if in, err = os.Open(name); err != nil {
			return total, err
		}
		defer in.Close()
	}
	rows := newSplitter(in, isCSV)
	var check checker = checkNDJSON
	var header []byte
	if isCSV {
		if check, header, err = readHeader(rows); err != nil {
			return total, fmt.Errorf("%s: %w", name, err)
		}
	}
	out, err := create(outName, in)
	if err != nil {
		return total, err
	}

	// From here on an interrupt must not cut a row in two. A second one ends the program at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	bar := newBar(in)
	if _, err = out.Write(header); err == nil {
		total, err = checkAll(ctx, rows, check, out, bar)
	}
	_ = bar.Clear()
	if err = errors.Join(err, out.Close()); err != nil {
		err = fmt.Errorf("%s: stopped after row %d (line %d): %w", name, total.rows, total.line, err)
	}
	summary := os.Stdout
	if outName == "-" {
		summary = os.Stderr
	}
	return total, errors.Join(total.print(summary), err)
}

// create opens the file that the rows go to: one that keeps nothing if name is empty.
func create(name string, in *os.File) (*os.File, error) {
	switch name {
	case "":
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	case "-":
		return os.Stdout, nil
	}
	source, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if target, err := os.Stat(name); err == nil && os.SameFile(source, target) {
		return nil, fmt.Errorf("%s: -out is the input itself", name)
	}
	return os.Create(name)
}

// newBar returns a bar that counts the bytes that were checked. It shows nothing if nobody looks.
func newBar(in *os.File) *progressbar.ProgressBar {
	size := int64(-1) // unknown: a pipe
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine that draws over the summary
	)
}
