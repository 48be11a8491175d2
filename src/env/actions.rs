//! The five actions and their arguments.

use serde_json::{Map, Value};

use super::history::Page;
use super::text;
use crate::wire::agent::{ErrorType, StepError, StepRequest, action};
use crate::wire::config::MAX_CODE_BYTES;

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    RequestInfo(Option<Info>),
    ValidateCode(String),
    ExecuteCode(String),
    GetHistory(Page),
    Reset,
}

/// A kind of information about the task; all of them where none is named.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Info {
    Overview,
    SampleSubmission,
    DataStructure,
    DataPath,
    OutputPath,
    Name,
    Metadata,
}

impl Info {
    /// In the order in which `all` lists them.
    pub(super) const ALL: [Self; 7] = [
        Self::Overview,
        Self::SampleSubmission,
        Self::DataStructure,
        Self::DataPath,
        Self::OutputPath,
        Self::Name,
        Self::Metadata,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::SampleSubmission => "sample_submission",
            Self::DataStructure => "data_structure",
            Self::DataPath => "data_path",
            Self::OutputPath => "output_path",
            Self::Name => "name",
            Self::Metadata => "metadata",
        }
    }
}

/// Each action with the names of its parameters.
const ACTIONS: [(&str, &[&str]); action::ALL.len()] = [
    (action::REQUEST_INFO, &["info_type"]),
    (action::VALIDATE_CODE, &["code"]),
    (action::EXECUTE_CODE, &["code"]),
    (action::GET_HISTORY, &["from", "limit"]),
    (action::RESET, &[]),
];

/// Checks a request. A request that makes no sense is a failed step, which is counted and recorded like any other.
pub(super) fn parse(request: &StepRequest) -> Result<Action, StepError> {
    let Some((name, parameters)) = ACTIONS.iter().find(|(name, _)| *name == request.action) else {
        return Err(error(
            ErrorType::UnknownActionError,
            format!(
                "there is no action `{}`; the actions are {}",
                text::name(&request.action),
                text::list(&action::ALL)
            ),
        ));
    };
    if let Some(unknown) = request
        .params
        .keys()
        .find(|key| !parameters.contains(&key.as_str()))
    {
        return Err(invalid(format!(
            "{name} has no parameter `{}`; it takes {}",
            text::name(unknown),
            if parameters.is_empty() {
                "none".into()
            } else {
                text::list(parameters)
            }
        )));
    }
    let params = &request.params;
    match *name {
        action::REQUEST_INFO => info(params).map(Action::RequestInfo),
        action::VALIDATE_CODE => code(name, params).map(Action::ValidateCode),
        action::EXECUTE_CODE => code(name, params).map(Action::ExecuteCode),
        action::GET_HISTORY => page(params).map(Action::GetHistory),
        _ => Ok(Action::Reset),
    }
}

fn info(params: &Map<String, Value>) -> Result<Option<Info>, StepError> {
    let named = match given(params, "info_type") {
        None => return Ok(None),
        Some(Value::String(named)) => named,
        Some(other) => return Err(wrong_type("info_type", "a string", other)),
    };
    if named == "all" {
        return Ok(None);
    }
    let found = Info::ALL.into_iter().find(|info| info.name() == named);
    found.map(Some).ok_or_else(|| {
        let mut names = Info::ALL.map(Info::name).to_vec();
        names.push("all");
        invalid(format!(
            "there is no info_type `{}`; it is one of {}",
            text::name(named),
            text::list(&names)
        ))
    })
}

fn code(action: &str, params: &Map<String, Value>) -> Result<String, StepError> {
    let code = match given(params, "code") {
        None => {
            return Err(invalid(format!(
                "{action} needs the parameter `code`: the text of a Python program"
            )));
        }
        Some(Value::String(code)) => code,
        Some(other) => return Err(wrong_type("code", "a string", other)),
    };
    if code.trim().is_empty() {
        return Err(invalid(
            "`code` is empty; it must be the text of a Python program".into(),
        ));
    }
    if code.len() > MAX_CODE_BYTES {
        return Err(invalid(format!(
            "`code` has {} bytes, over the limit of {MAX_CODE_BYTES}; keep data in files of the workspace",
            code.len()
        )));
    }
    Ok(code.clone())
}

fn page(params: &Map<String, Value>) -> Result<Page, StepError> {
    Ok(Page {
        from: integer(params, "from", 1, u32::MAX)?.unwrap_or(1),
        limit: integer(params, "limit", 1, Page::MAX_LIMIT)?.unwrap_or(Page::DEFAULT_LIMIT),
    })
}

fn integer(params: &Map<String, Value>, name: &str, least: u32, most: u32) -> Result<Option<u32>, StepError> {
    let number = match given(params, name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(other) => return Err(wrong_type(name, "a whole number", other)),
    };
    let in_range = number
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (least..=most).contains(number));
    in_range.map(Some).ok_or_else(|| {
        invalid(format!(
            "`{name}` must be a whole number from {least} to {most}, not {}",
            text::name(&number.to_string())
        ))
    })
}

/// The argument; null counts as not given, since many clients send it for what they leave out.
fn given<'a>(params: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    params.get(name).filter(|value| !value.is_null())
}

fn wrong_type(name: &str, wanted: &str, value: &Value) -> StepError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    invalid(format!("`{name}` must be {wanted}, not {kind}"))
}

fn invalid(message: String) -> StepError {
    error(ErrorType::InvalidArgumentError, message)
}

/// An error without details.
pub(super) fn error(error_type: ErrorType, message: String) -> StepError {
    StepError {
        error_type,
        error: message,
        details: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Action, StepError> {
        parse(&serde_json::from_str(text).unwrap())
    }

    fn refused(text: &str) -> (ErrorType, String) {
        let error = of(text).unwrap_err();
        (error.error_type, error.error)
    }

    #[test]
    fn every_action_is_taken_with_its_defaults() {
        assert_eq!(of(r#"{"action":"request_info"}"#), Ok(Action::RequestInfo(None)));
        assert_eq!(
            of(r#"{"action":"request_info","params":{"info_type":"all"}}"#),
            Ok(Action::RequestInfo(None))
        );
        assert_eq!(
            of(r#"{"action":"execute_code","params":{"code":"pass"}}"#),
            Ok(Action::ExecuteCode("pass".into()))
        );
        assert_eq!(
            of(r#"{"action":"validate_code","params":{"code":"pass"}}"#),
            Ok(Action::ValidateCode("pass".into()))
        );
        assert_eq!(
            of(r#"{"action":"get_history","params":{"limit":null}}"#),
            Ok(Action::GetHistory(Page { from: 1, limit: 10 }))
        );
        assert_eq!(
            of(r#"{"action":"get_history","params":{"from":7,"limit":50}}"#),
            Ok(Action::GetHistory(Page { from: 7, limit: 50 }))
        );
        assert_eq!(of(r#"{"action":"reset"}"#), Ok(Action::Reset));
    }

    #[test]
    fn every_kind_of_information_is_taken_by_its_name() {
        for info in Info::ALL {
            let request = format!(
                r#"{{"action":"request_info","params":{{"info_type":"{}"}}}}"#,
                info.name()
            );
            assert_eq!(of(&request), Ok(Action::RequestInfo(Some(info))));
        }
    }

    #[test]
    fn an_unknown_action_is_told_the_five() {
        assert_eq!(
            refused(r#"{"action":"submit"}"#),
            (
                ErrorType::UnknownActionError,
                "there is no action `submit`; the actions are request_info, validate_code, execute_code, get_history \
                 and reset"
                    .into()
            )
        );
    }

    #[test]
    fn each_bad_argument_is_told_what_would_be_right() {
        let cases = [
            (
                r#"{"action":"execute_code"}"#,
                "execute_code needs the parameter `code`: the text of a Python program",
            ),
            (
                r#"{"action":"execute_code","params":{"code":" \n"}}"#,
                "`code` is empty; it must be the text of a Python program",
            ),
            (
                r#"{"action":"validate_code","params":{"code":["a"]}}"#,
                "`code` must be a string, not an array",
            ),
            (
                r#"{"action":"execute_code","params":{"code":"pass","timeout":3}}"#,
                "execute_code has no parameter `timeout`; it takes code",
            ),
            (
                r#"{"action":"get_history","params":{"offset":3}}"#,
                "get_history has no parameter `offset`; it takes from and limit",
            ),
            (
                r#"{"action":"reset","params":{"seed":3}}"#,
                "reset has no parameter `seed`; it takes none",
            ),
            (
                r#"{"action":"request_info","params":{"info_type":"answers"}}"#,
                "there is no info_type `answers`; it is one of overview, sample_submission, data_structure, \
                 data_path, output_path, name, metadata and all",
            ),
            (
                r#"{"action":"request_info","params":{"info_type":7}}"#,
                "`info_type` must be a string, not a number",
            ),
            (
                r#"{"action":"get_history","params":{"from":0}}"#,
                "`from` must be a whole number from 1 to 4294967295, not 0",
            ),
            (
                r#"{"action":"get_history","params":{"limit":51}}"#,
                "`limit` must be a whole number from 1 to 50, not 51",
            ),
            (
                r#"{"action":"get_history","params":{"limit":2.5}}"#,
                "`limit` must be a whole number from 1 to 50, not 2.5",
            ),
            (
                r#"{"action":"get_history","params":{"limit":"5"}}"#,
                "`limit` must be a whole number, not a string",
            ),
        ];
        for (request, message) in cases {
            assert_eq!(
                refused(request),
                (ErrorType::InvalidArgumentError, message.into())
            );
        }
    }

    #[test]
    fn code_is_taken_up_to_its_limit_and_not_beyond() {
        let mut request = StepRequest {
            action: "execute_code".into(),
            params: Map::new(),
        };
        request
            .params
            .insert("code".into(), "#".repeat(MAX_CODE_BYTES).into());
        assert!(parse(&request).is_ok());
        request
            .params
            .insert("code".into(), "#".repeat(MAX_CODE_BYTES + 1).into());
        let error = parse(&request).unwrap_err();
        assert!(
            error.error.contains("1048577 bytes, over the limit of 1048576"),
            "{}",
            error.error
        );
    }

    #[test]
    fn a_name_of_any_length_gives_a_short_message() {
        let mut request = StepRequest {
            action: "é".repeat(1_000_000),
            params: Map::new(),
        };
        assert!(parse(&request).unwrap_err().error.len() < 400);
        request.action = "reset".into();
        request.params.insert("x".repeat(1_000_000), Value::Null);
        assert!(parse(&request).unwrap_err().error.len() < 400);
    }
}
