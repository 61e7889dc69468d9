// Campaign checks the From and To of every call in a file before the first call is placed.
//
//	campaign -csv calls.csv -out checked.csv
//	campaign -ndjson - < calls.ndjson
//
// A CSV file must start with a header that names the columns from and to, in any order and any
// case. An NDJSON file has one JSON object per line, with the fields from and to.
//
// With -out, campaign writes every row in the order of the input. It keeps all columns or fields of
// a row and adds five:
//
//	verdict  accepted or refused
//	codes    Twilio's error code for each problem
//	rules    the rule for each problem
//	fixes    what to write in from or to instead, if there is exactly one candidate
//	line     the line of the input where the row starts, counted from 1
//
// If campaign cannot read a row, it refuses the row with one of its own rules:
//
//	row.syntax   the row is malformed
//	row.columns  the row has more or fewer columns than the header
//	row.length   the row is longer than 64 KiB
//
// The output contains the verdict of such a row but not its text. Use line to find the row in the
// input.
//
// The summary goes to standard output, or to standard error if -out is "-". The exit code is 0 if
// every row was accepted, 1 if some rows were refused, and 2 if campaign did not check the whole
// input because of wrong usage, an I/O error or an interrupt. If it stops in the middle of the
// input, the error names the last row that was written. The output ends with that row, unless a
// write failed halfway.
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
	outName := flag.String("out", "",
		"write each row with its verdict to `file`, - for standard output;\n"+
			"it shows phone numbers and names in the clear")
	flag.Usage = usage
	flag.Parse()
	if (*csvName == "") == (*ndjsonName == "") || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "campaign: exactly one of -csv and -ndjson must be given; "+
			"arguments besides flags are not allowed")
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

func usage() {
	fmt.Fprint(flag.CommandLine.Output(), `usage: campaign -csv FILE [-out FILE]
       campaign -ndjson FILE [-out FILE]

Campaign checks the From and To of every call in a file before the first call is
placed.

A CSV file must start with a header that names the columns from and to, in any
order and any case. An NDJSON file has one JSON object per line, with the fields
from and to.

With -out, campaign writes every row in the order of the input. It keeps all
columns or fields of a row and adds five:

  verdict  accepted or refused
  codes    Twilio's error code for each problem
  rules    the rule for each problem
  fixes    what to write in from or to instead, if there is exactly one
           candidate
  line     the line of the input where the row starts, counted from 1

If campaign cannot read a row, it refuses the row with one of its own rules:

  row.syntax   the row is malformed
  row.columns  the row has more or fewer columns than the header
  row.length   the row is longer than 64 KiB

The output contains the verdict of such a row but not its text. Use line to find
the row in the input.

The summary goes to standard output, or to standard error if -out is "-".

Exit codes:

  0  every row was accepted
  1  some rows were refused
  2  campaign did not check the whole input because of wrong usage, an I/O
     error or an interrupt

If campaign stops in the middle of the input, the error names the last row that
was written. The output ends with that row, unless a write failed halfway.

Flags:

`)
	flag.PrintDefaults()
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

	// From here on, an interrupt must not cut a row in two. A second interrupt ends the program at
	// once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	bar := newBar(in)
	if _, err = out.Write(header); err == nil {
		total, err = checkAll(ctx, rows, check, out, bar)
	}
	_ = bar.Clear()
	if err = errors.Join(err, out.Close()); err != nil {
		err = fmt.Errorf("%s: stopped after row %d (line %d): %w",
			name, total.rows, total.line, err)
	}
	summary := os.Stdout
	if outName == "-" {
		summary = os.Stderr
	}
	return total, errors.Join(total.print(summary), err)
}

// create opens the file that the rows are written to. If name is empty, the rows are discarded.
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
		return nil, fmt.Errorf("%s: -out is the input file; choose another file", name)
	}
	return os.Create(name)
}

// newBar returns a bar that counts the checked bytes. It is visible only in a terminal.
func newBar(in *os.File) *progressbar.ProgressBar {
	size := int64(-1) // unknown, as for a pipe
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		// 0 stops the goroutine that would draw over the summary.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)
}
