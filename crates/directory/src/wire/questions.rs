//! Questions: what a client asks.

use chasqui_sasl::scram::Proof;
use zeroize::Zeroize;

use crate::bytes::{Malformed, Reader, put_counted, put_number};

const LOOK_UP: u8 = 1;
const VERIFY: u8 = 2;
const OVER_QUOTA: u8 = 3;
const PING: u8 = 4;
const SCRAM_BEGIN: u8 = 5;
const SCRAM_FINISH: u8 = 6;
const MAY_SEND_AS: u8 = 7;

/// One question, borrowing from the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question<'a> {
    LookUp(&'a str),
    Verify {
        login: &'a str,
        password: &'a str,
    },
    OverQuota {
        account: &'a str,
        over: bool,
    },
    Ping,
    ScramBegin(&'a str),
    ScramFinish {
        login: &'a str,
        auth_message: &'a str,
        proof: &'a Proof,
    },
    MaySendAs {
        account: &'a str,
        sender: &'a str,
    },
    /// Of a later version, or malformed inside its length.
    NotUnderstood,
}

impl<'a> Question<'a> {
    /// Appends the question.
    pub(crate) fn put(&self, into: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(64);
        let kind = match self {
            Self::LookUp(recipient) => {
                // The commonest question is written without the detour: its length is known.
                let text = recipient.len() + length_of_number(recipient.len());
                into.push(LOOK_UP);
                put_number(into, text as u64);
                put_counted(into, recipient.as_bytes());
                return;
            }
            Self::Verify { login, password } => {
                put_counted(&mut body, login.as_bytes());
                put_counted(&mut body, password.as_bytes());
                VERIFY
            }
            Self::OverQuota { account, over } => {
                put_counted(&mut body, account.as_bytes());
                body.push(u8::from(*over));
                OVER_QUOTA
            }
            Self::Ping | Self::NotUnderstood => PING,
            Self::ScramBegin(login) => {
                put_counted(&mut body, login.as_bytes());
                SCRAM_BEGIN
            }
            Self::ScramFinish { login, auth_message, proof } => {
                put_counted(&mut body, login.as_bytes());
                put_counted(&mut body, auth_message.as_bytes());
                body.extend_from_slice(&proof[..]);
                SCRAM_FINISH
            }
            Self::MaySendAs { account, sender } => {
                put_counted(&mut body, account.as_bytes());
                put_counted(&mut body, sender.as_bytes());
                MAY_SEND_AS
            }
        };
        into.push(kind);
        put_counted(into, &body);
        body.zeroize();
    }

    /// Whether the answer needs waiting: then it is alone in its message.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Verify { .. } | Self::ScramBegin(_) | Self::ScramFinish { .. })
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let kind = reader.u8()?;
        let mut body = Reader(reader.counted()?);
        Ok(Self::read_body(kind, &mut body).unwrap_or(Self::NotUnderstood))
    }

    fn read_body(kind: u8, body: &mut Reader<'a>) -> Result<Self, Malformed> {
        match kind {
            LOOK_UP => Ok(Self::LookUp(body.text()?)),
            VERIFY => Ok(Self::Verify { login: body.text()?, password: body.text()? }),
            OVER_QUOTA => Ok(Self::OverQuota { account: body.text()?, over: body.u8()? != 0 }),
            PING => Ok(Self::Ping),
            SCRAM_BEGIN => Ok(Self::ScramBegin(body.text()?)),
            SCRAM_FINISH => Ok(Self::ScramFinish {
                login: body.text()?,
                auth_message: body.text()?,
                proof: body.bytes(32)?.try_into().map_err(|_| Malformed)?,
            }),
            MAY_SEND_AS => Ok(Self::MaySendAs { account: body.text()?, sender: body.text()? }),
            _ => Err(Malformed),
        }
    }
}

fn length_of_number(number: usize) -> usize {
    if number < 0x80 { 1 } else { 2 + usize::from(number >= 0x4000) }
}

/// A message of questions as it is read: iterate for the questions.
pub(crate) struct Questions<'a> {
    /// The asker's clock, milliseconds since 1970.
    pub(crate) time: u64,
    /// How many questions there are.
    pub(crate) count: u8,
    left: u8,
    reader: Reader<'a>,
}

impl<'a> Questions<'a> {
    pub(crate) fn read(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(content);
        let time = reader.u64()?;
        let count = reader.u8()?;
        if count == 0 || usize::from(count) > super::MAX_QUESTIONS {
            return Err(Malformed);
        }
        Ok(Self { time, count, left: count, reader })
    }
}

impl<'a> Iterator for Questions<'a> {
    type Item = Question<'a>;

    fn next(&mut self) -> Option<Question<'a>> {
        self.left = self.left.checked_sub(1)?;
        // After a broken length nothing can be read, but each question still gets its answer.
        Some(Question::read(&mut self.reader).unwrap_or(Question::NotUnderstood))
    }
}

/// Writes the head of a message: the time and how many questions follow.
pub(crate) fn put_head(into: &mut Vec<u8>, time: u64, count: u8) {
    into.extend_from_slice(&time.to_be_bytes());
    into.push(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn questions_survive(time: u64, a: String, b: String, c: String, over: bool, proof: [u8; 32], long in 0_usize..20_000) {
            let long = "x".repeat(long);
            let asked = [
                Question::LookUp(&a),
                Question::Verify { login: &b, password: &c },
                Question::OverQuota { account: &c, over },
                Question::Ping,
                Question::ScramBegin(&a),
                Question::ScramFinish { login: &b, auth_message: &c, proof: &proof },
                Question::MaySendAs { account: &a, sender: &b },
                Question::LookUp(&long),
            ];
            let mut content = Vec::new();
            put_head(&mut content, time, asked.len() as u8);
            asked.iter().for_each(|question| question.put(&mut content));
            content.resize(content.len() + 17, 0);
            let read = Questions::read(&content).unwrap();
            prop_assert_eq!((read.time, usize::from(read.count)), (time, asked.len()));
            prop_assert_eq!(read.collect::<Vec<_>>(), asked);
        }
    }

    #[test]
    fn a_question_of_a_later_version_does_not_spoil_its_neighbours() {
        let mut content = Vec::new();
        put_head(&mut content, 1, 2);
        content.push(200);
        put_counted(&mut content, b"whatever");
        Question::LookUp("ana@ours.test").put(&mut content);
        let read: Vec<_> = Questions::read(&content).unwrap().collect();
        assert_eq!(read, [Question::NotUnderstood, Question::LookUp("ana@ours.test")]);
    }
}
