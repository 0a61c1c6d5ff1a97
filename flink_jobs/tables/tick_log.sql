-- Owner: sftp_bridge. Grain: one row per word about one business date.
CREATE TEMPORARY TABLE tick_log (
    tick_id STRING NOT NULL,
    calendar STRING NOT NULL,
    business_date DATE NOT NULL,
    is_business_day BOOLEAN NOT NULL,
    closed BOOLEAN NOT NULL,
    `at` TIMESTAMP(3) NOT NULL,
    op STRING NOT NULL,
    version BIGINT NOT NULL,
    `position` BIGINT NOT NULL
) WITH (
    'topic' = 'calendar.ticks',
    {{ kafka_source }}
)
