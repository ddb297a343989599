//! Many questions at once, for a command that then ends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use config::Config;
use facts::Resolver;
use policy::fact::{Answer, Fact, Question, Sts};
use tokio::runtime::Runtime;

use crate::clock;

/// What the network said. By default it is not asked.
#[derive(Default)]
pub(crate) struct Answers {
    network: Option<Network>,
    known: HashMap<Question, Fact>,
}

struct Network {
    runtime: Runtime,
    resolver: Arc<Resolver>,
}

impl Answers {
    /// Who puts them, if the network is to be asked. `policies`: the MTA-STS policies that are known already.
    pub(crate) fn over(config: &Config, policies: Vec<(Box<str>, Sts)>) -> anyhow::Result<Self> {
        let resolver = Arc::new(Resolver::new(config.resolver()));
        resolver.keep_policies(policies);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { network: Some(Network { runtime, resolver }), known: HashMap::new() })
    }

    /// Puts the questions to the network, all at once, and waits for the answers.
    pub(crate) fn ask(&mut self, questions: HashSet<Question>) -> anyhow::Result<()> {
        let Some(Network { runtime, resolver }) = &self.network else { return Ok(()) };
        let known = &mut self.known;
        runtime.block_on(async {
            let mut asks = tokio::task::JoinSet::new();
            for question in questions.into_iter().filter(|asked| !known.contains_key(asked)) {
                let resolver = Arc::clone(resolver);
                asks.spawn(async move {
                    (question.clone(), resolver.ask(question, clock::now()).await)
                });
            }
            while let Some(answered) = asks.join_next().await {
                let (question, fact) = answered?;
                known.insert(question, fact);
            }
            Ok(())
        })
    }

    /// The answer to the question; that it was not asked, if it was not.
    pub(crate) fn get(&self, question: &Question) -> Fact {
        if let Some(fact) = self.known.get(question) {
            return fact.clone();
        }
        match question {
            Question::Ptr(address) => Fact::Ptr(*address, Answer::NotAsked),
            Question::Tlsa(name) => Fact::Tlsa(name.clone(), Answer::NotAsked),
            Question::Sts(domain) => Fact::Sts(domain.clone(), Answer::NotAsked),
            Question::Addresses(name) => Fact::Addresses(name.clone(), Answer::NotAsked),
        }
    }
}
