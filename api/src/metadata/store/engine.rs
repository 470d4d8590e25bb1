//! What the two engines have different words for.

/// What runs the SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file.
    Sqlite,
    /// A server.
    Postgres,
}

impl Engine {
    /// The database's own clock, in milliseconds since the epoch: leases are judged by no other. On
    /// Postgres it goes on inside of a transaction and while a statement waits for a lock.
    pub fn now_ms(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// A table out of a JSON list of objects that is the statement's first parameter: any number of
    /// rows in one statement. Columns are (name, type).
    pub fn rows_of_json(self, columns: &[(&str, &str)]) -> String {
        let list = |column: fn(&(&str, &str)) -> String| {
            let columns: Vec<_> = columns.iter().map(column).collect();
            columns.join(", ")
        };
        match self {
            Self::Sqlite => format!(
                "(SELECT {} FROM json_each($1))",
                list(|(name, _)| format!("value ->> '{name}' AS {name}"))
            ),
            Self::Postgres => format!(
                "(SELECT * FROM json_to_recordset(CAST($1 AS JSON)) AS given ({}))",
                list(|(name, kind)| format!("{name} {kind}"))
            ),
        }
    }
}
