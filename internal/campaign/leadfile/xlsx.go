package leadfile

import (
	"io"

	"github.com/xuri/excelize/v2"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	mostSheet    = 2 << 30  // bytes of a spreadsheet when it is unpacked; a small file can claim to be huge
	sheetInHands = 16 << 20 // a sheet that is bigger is unpacked into a temporary file
)

// sheet are the rows of the first sheet of a spreadsheet.
type sheet struct {
	file *excelize.File
	rows *excelize.Rows
}

func openXLSX(r io.Reader) (table, error) {
	f, err := excelize.OpenReader(r, excelize.Options{UnzipSizeLimit: mostSheet, UnzipXMLSizeLimit: sheetInHands, RawCellValue: true})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file is no Excel file that can be read; save it as CSV")
	}
	names := f.GetSheetList()
	if len(names) == 0 {
		_ = f.Close()
		return nil, fault.Field("file", "the Excel file has no sheet")
	}
	rows, err := f.Rows(names[0])
	if err != nil {
		_ = f.Close()
		return nil, fault.Wrap(fault.Invalid, err, "the first sheet of the Excel file cannot be read; save it as CSV")
	}
	return &sheet{f, rows}, nil
}

func (s *sheet) next() ([]string, error) {
	if !s.rows.Next() {
		if err := s.rows.Error(); err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the Excel file is damaged; save it as CSV")
		}
		return nil, io.EOF
	}
	cells, err := s.rows.Columns()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the Excel file is damaged; save it as CSV")
	}
	return cells, nil
}

func (s *sheet) close() error {
	err := s.rows.Close()
	if e := s.file.Close(); err == nil {
		err = e
	}
	return err
}
