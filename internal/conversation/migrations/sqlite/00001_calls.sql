-- +goose Up
CREATE TABLE calls (
    id              TEXT    NOT NULL PRIMARY KEY,
    organisation_id TEXT    NOT NULL,
    node            TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    direction       TEXT    NOT NULL,
    channel         TEXT    NOT NULL,
    from_addr       TEXT    NOT NULL,
    from_name       TEXT    NOT NULL,
    to_addr         TEXT    NOT NULL,
    agent_id        TEXT    NOT NULL,
    agent_slug      TEXT    NOT NULL,
    agent_name      TEXT    NOT NULL,
    agent_version   BIGINT  NOT NULL,
    external_id     TEXT    NOT NULL,
    started_at      BIGINT  NOT NULL,
    answered_at     BIGINT,
    ended_at        BIGINT,
    duration_ms     BIGINT  NOT NULL,
    ended_by        TEXT    NOT NULL,
    end_reason      TEXT    NOT NULL,
    end_text        TEXT    NOT NULL,
    codec           TEXT    NOT NULL,
    rec_state       TEXT    NOT NULL,
    rec_duration_ms BIGINT  NOT NULL,
    rec_bytes       BIGINT  NOT NULL,
    rec_key         TEXT    NOT NULL,
    log_key         TEXT    NOT NULL,
    turns           BIGINT  NOT NULL,
    p50_us          BIGINT,
    p95_us          BIGINT,
    metadata        TEXT    NOT NULL,
    outcome         TEXT    NOT NULL,
    alerts          TEXT    NOT NULL
);
CREATE INDEX calls_by_time ON calls (organisation_id, started_at DESC, id DESC);
CREATE INDEX calls_by_agent ON calls (organisation_id, agent_id, started_at DESC, id DESC);
CREATE INDEX calls_live ON calls (organisation_id, node) WHERE status <> 'ended';

CREATE TABLE call_legs (
    id              TEXT    NOT NULL,
    organisation_id TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    position        BIGINT  NOT NULL,
    channel         TEXT    NOT NULL,
    direction       TEXT    NOT NULL,
    from_addr       TEXT    NOT NULL,
    to_addr         TEXT    NOT NULL,
    remote          TEXT    NOT NULL,
    codec           TEXT    NOT NULL,
    started_at      BIGINT  NOT NULL,
    ended_at        BIGINT,
    cause           TEXT    NOT NULL,
    stats           TEXT    NOT NULL,
    PRIMARY KEY (call_id, id)
);

CREATE TABLE call_transcript (
    organisation_id TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    seq             BIGINT  NOT NULL,
    turn            BIGINT  NOT NULL,
    speaker         TEXT    NOT NULL,
    text            TEXT    NOT NULL,
    start_ms        BIGINT  NOT NULL,
    end_ms          BIGINT  NOT NULL,
    confidence      DOUBLE PRECISION NOT NULL,
    interrupted     BOOLEAN NOT NULL,
    PRIMARY KEY (call_id, seq)
);

CREATE TABLE call_turns (
    organisation_id TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    turn            BIGINT  NOT NULL,
    at              BIGINT  NOT NULL,
    caller_text     TEXT    NOT NULL,
    agent_text      TEXT    NOT NULL,
    eos_us          BIGINT,
    stt_us          BIGINT,
    token_us        BIGINT,
    audio_us        BIGINT,
    frame_us        BIGINT,
    interrupted     BOOLEAN NOT NULL,
    PRIMARY KEY (call_id, turn)
);
CREATE INDEX call_turns_latency ON call_turns (organisation_id, at, frame_us);

CREATE TABLE call_peaks (
    organisation_id TEXT    NOT NULL,
    call_id         TEXT    NOT NULL PRIMARY KEY,
    span            BIGINT  NOT NULL,
    caller          BLOB    NOT NULL,
    agent           BLOB    NOT NULL
);

-- The event log and recording of calls that were over within a moment.
CREATE TABLE call_files (
    organisation_id TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    suffix          TEXT    NOT NULL,
    data            BLOB    NOT NULL,
    PRIMARY KEY (call_id, suffix)
);
