"""The atlas: the whole catalogue on several corpora, from exports of scores to docs/atlas.md."""
