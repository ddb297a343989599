//! Many questions at once, for a command that then ends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use config::Config;
use facts::Resolver;
use policy::fact::{Answer, Fact, Question, Sts};

use crate::clock;

/// What the network said.
#[derive(Debug, Default)]
pub(crate) struct Answers(HashMap<Question, Fact>);

impl Answers {
    /// Puts all the questions to the network, and waits for the answers. `policies`: the MTA-STS policies that are known
    /// already.
    pub(crate) fn of(
        config: &Config,
        questions: HashSet<Question>,
        policies: Vec<(Box<str>, Sts)>,
    ) -> anyhow::Result<Self> {
        if questions.is_empty() {
            return Ok(Self::default());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let resolver = Arc::new(Resolver::new(config.resolver()));
            resolver.keep_policies(policies);
            let mut asks = tokio::task::JoinSet::new();
            for question in questions {
                let resolver = Arc::clone(&resolver);
                asks.spawn(async move {
                    (question.clone(), resolver.ask(question, clock::now()).await)
                });
            }
            let mut answers = HashMap::new();
            while let Some(answered) = asks.join_next().await {
                let (question, fact) = answered?;
                answers.insert(question, fact);
            }
            Ok(Self(answers))
        })
    }

    /// The answer to the question; that it was not asked, if it was not.
    pub(crate) fn get(&self, question: &Question) -> Fact {
        if let Some(fact) = self.0.get(question) {
            return fact.clone();
        }
        match question {
            Question::Ptr(address) => Fact::Ptr(*address, Answer::NotAsked),
            Question::Tlsa(name) => Fact::Tlsa(name.clone(), Answer::NotAsked),
            Question::Sts(domain) => Fact::Sts(domain.clone(), Answer::NotAsked),
        }
    }
}
