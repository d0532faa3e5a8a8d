// A module of its own: what a document database needs is none of Parley's business. make builds it into bin/.
module github.com/parley-voice/parley/test/peers/ferretdb

go 1.26.0

require github.com/FerretDB/FerretDB v1.24.2
