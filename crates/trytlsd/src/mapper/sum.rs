//! The edits that are carried out by one rebuild.

use access::managed::Managed;
use access::remedy::Tagged;
use policy::clients::ClientEdit;
use policy::input::Edit;

/// What several edits come to: of two that are about the same entry the later one counts.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) add: Vec<Managed>,
    pub(super) remove: Vec<Tagged>,
}

impl Sum {
    pub(super) fn of(edits: &[Edit], clients: &[ClientEdit]) -> Self {
        let mut sum = Self::default();
        for edit in edits {
            edit.remove.iter().for_each(|key| sum.take_out(key.clone()));
            edit.add.iter().for_each(|entry| sum.put_in(entry));
        }
        for edit in clients {
            match edit {
                ClientEdit::Add(_, entry) => sum.put_in(entry),
                ClientEdit::Remove(_, entry) => sum.take_out(entry.clone()),
            }
        }
        sum
    }

    fn put_in(&mut self, entry: &Managed) {
        let tagged = entry.tagged().folded();
        self.remove.retain(|gone| gone.folded() != tagged);
        self.add.push(entry.clone());
    }

    fn take_out(&mut self, entry: Tagged) {
        let tagged = entry.folded();
        self.add.retain(|come| come.tagged().folded() != tagged);
        self.remove.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use maillog::relay::Relay;

    use super::*;

    /// `+192.0.2.1` puts that entry in, `-192.0.2.1` takes it out; what they come to, in the same words.
    fn check(orders: &str, expect: &str) {
        let edits: Vec<Edit> = orders.split(' ').map(edit).collect();
        let Sum { add, remove } = Sum::of(&edits, &[]);
        let add = add.iter().map(|entry| format!("+{}", entry.tagged().brief()));
        let sum: Vec<String> =
            add.chain(remove.iter().map(|entry| format!("-{}", entry.brief()))).collect();
        assert_eq!(sum.join(" "), expect);
    }

    fn edit(order: &str) -> Edit {
        let (sign, key) = order.split_at(1);
        let relay = Relay::parse(b"mx.example.org").unwrap();
        let entry: Tagged = key.parse().unwrap();
        if sign == "-" {
            return Edit { relay, add: vec![], remove: vec![entry] };
        }
        let entry = Managed {
            remedy: entry.remedy,
            key: entry.key,
            relay: relay.as_str().into(),
            why: String::new(),
            since: Timestamp::UNIX_EPOCH,
            until: None,
        };
        Edit { relay, add: vec![entry], remove: vec![] }
    }

    #[test]
    fn the_later_order_counts() {
        check("+192.0.2.1 +192.0.2.2", "+192.0.2.1 +192.0.2.2");
        check("+192.0.2.1 -192.0.2.1", "-192.0.2.1");
        check("-192.0.2.1 +192.0.2.1", "+192.0.2.1");
        check("+192.0.2.1 -192.0.2.1 +192.0.2.1 -192.0.2.2", "+192.0.2.1 -192.0.2.2");
        check("+mx.example.org -MX.example.org", "-mx.example.org");
        // The entry of another remedy for the same key is another.
        let other = "TLS_Clt_features:192.0.2.1";
        check(&format!("+{other} -192.0.2.1"), &format!("+{other} -192.0.2.1"));
    }
}
