//! `trytlsd.toml.5`, the page of the config, made from the sample: a section for each table, and each key with its default
//! and the comment above it.

use std::fmt::Write;

/// The page.
pub(crate) fn roff(sample: &str) -> String {
    let mut out = format!(
        ".TH TRYTLSD.TOML 5 \"\" \"trytlsd {}\" trytlsd\n.SH NAME\ntrytlsd.toml \\- the config of trytlsd\n\
         .SH SYNOPSIS\n/etc/trytlsd/trytlsd.toml, /etc/trytlsd/trytlsd.d/*.toml\n.SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut comment: Vec<&str> = Vec::new();
    for line in sample.split('\n') {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
        } else if let Some(title) = line.strip_prefix('[') {
            let _infallible = writeln!(out, ".SH \"[{}\"", escaped(title));
        } else if line.contains(" = ") {
            let _infallible = writeln!(out, ".TP\n.B {}", escaped(line));
            write_comment(&mut out, &comment);
            comment.clear();
        } else if line.is_empty() && !comment.is_empty() {
            write_comment(&mut out, &comment);
            comment.clear();
        }
    }
    out.push_str(".SH \"SEE ALSO\"\ntrytlsd(8), trytlsd-check-config(8), trytlsd-doctor(8)\n");
    out
}

/// Text, with what is indented as it stands.
fn write_comment(out: &mut String, comment: &[&str]) {
    let mut verbatim = false;
    for line in comment {
        let indented = line.starts_with("  ");
        if indented != verbatim {
            out.push_str(if indented { ".nf\n" } else { ".fi\n" });
            verbatim = indented;
        }
        let _infallible = writeln!(out, "{}", escaped(line));
    }
    if verbatim {
        out.push_str(".fi\n");
    }
}

/// The line for roff: no escapes of its own, and no request at its beginning.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let sample = "# The head.\n# More.\ndry_run = true\n\n[log]\n# Where.\n#   a = 'b\\.c'\n# .end\npath = \"/x-y\"\n";
        let page = roff(sample);
        let expect = ".SH DESCRIPTION\n.TP\n.B dry_run = true\nThe head.\nMore.\n.SH \"[log]\"\n.TP\n\
            .B path = \\(dq/x\\-y\\(dq\nWhere.\n.nf\n  a = 'b\\e.c'\n.fi\n\\&.end\n.SH \"SEE ALSO\"\n";
        assert!(page.contains(expect), "{page}");
    }
}
