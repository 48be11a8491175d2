//! Types that more than one kind uses.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Name of an object: a DNS subdomain.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Key of a ConfigMap.
pub const KEY_PATTERN: &str = r"^[-._A-Za-z0-9]+$";
/// A [`Quantity`].
pub const QUANTITY_PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$";
/// A [`Duration`].
pub const DURATION_PATTERN: &str = r"^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$";
/// A file below a directory: no `..`, no hidden file, not absolute.
pub const RELATIVE_FILE_PATTERN: &str = r"^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$";
/// A container image reference.
pub const IMAGE_PATTERN: &str = r"^\S+$";

/// A Kubernetes quantity as it is written in YAML, such as `500m`, `2Gi` or `4`; a whole number needs no quotes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl Quantity {
    /// The value in thousandths, rounded up: of a core for CPU, of a byte for memory. Unset: this is no quantity.
    pub fn milli(&self) -> Option<u128> {
        let end = self
            .0
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at(end);
        let milli_of_one: u128 = match suffix {
            "m" => 1,
            "" => 1_000,
            "k" => 1_000_000,
            "M" => 1_000_000_000,
            "G" => 1_000_000_000_000,
            "T" => 1_000_000_000_000_000,
            "P" => 1_000_000_000_000_000_000,
            "E" => 1_000_000_000_000_000_000_000,
            "Ki" => 1_000 << 10,
            "Mi" => 1_000 << 20,
            "Gi" => 1_000 << 30,
            "Ti" => 1_000 << 40,
            "Pi" => 1_000 << 50,
            "Ei" => 1_000 << 60,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() > 15 || fraction.len() > 9 || whole.is_empty() {
            return None;
        }
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
        Some((digits * milli_of_one).div_ceil(scale))
    }

    /// The value in bytes, rounded up. Unset: this is no quantity, or over 16 EiB.
    pub fn bytes(&self) -> Option<u64> {
        self.milli()?.div_ceil(1_000).try_into().ok()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(i64),
            Text(String),
        }
        Spelling::deserialize(deserializer).map(|spelling| match spelling {
            Spelling::Number(number) => Self(number.to_string()),
            Spelling::Text(text) => Self(text),
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = optional_quantity(generator);
        // Stated, or kube's derive makes every quantity with a default nullable.
        schema.insert("nullable".into(), false.into());
        schema
    }
}

/// Schema of a quantity that may be unset.
pub(super) fn optional_quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "pattern": QUANTITY_PATTERN,
    })
}

/// A length of time as it is written in YAML, such as `30s`, `90m` or `1h30m`: hours, minutes, seconds and milliseconds
/// in that order, whole numbers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    text: String,
    millis: u64,
}

impl Duration {
    /// The length in milliseconds.
    pub fn millis(&self) -> u64 {
        self.millis
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || format!("`{text}` is no duration such as 30s, 90m or 1h30m");
        let mut millis: u64 = 0;
        let mut rest = text;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let unit = match unit {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return Err(refused()),
            };
            if unit >= last_unit || number.len() > 9 {
                return Err(refused());
            }
            millis += number.parse::<u64>().map_err(|_| refused())? * unit;
            last_unit = unit;
            rest = tail;
        }
        if text.is_empty() {
            return Err(refused());
        }
        Ok(Self {
            text: text.to_owned(),
            millis,
        })
    }
}

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.text
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 36,
            "pattern": DURATION_PATTERN,
        })
    }
}

/// A file that enters by a ConfigMap of the same namespace.
///
/// Authors keep plain files beside a `kustomization.yaml`; its `configMapGenerator` makes the ConfigMap.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// ConfigMap and key that hold the file.
    pub config_map_key_ref: KeyRef,
}

/// One key of one object of the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Key within the object's data.
    #[schemars(length(min = 1, max = 253), regex(pattern = KEY_PATTERN))]
    pub key: String,
}

/// A reference by name to an object of the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
}

/// What an episode may use before it is ended from outside. A budget that is spent truncates the episode: it completes
/// with the best submission that it had.
///
/// On a Task these are the defaults of its episodes; on an Episode each field that is set overrides the Task's.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.wallClock) || duration(self.wallClock) > duration('0s')").message("wallClock must be longer than 0s").field_path(".wallClock"),
    validation = Rule::new("!has(self.actionTimeout) || duration(self.actionTimeout) > duration('0s')").message("actionTimeout must be longer than 0s").field_path(".actionTimeout"),
    validation = Rule::new("!has(self.validationTimeout) || duration(self.validationTimeout) > duration('0s')").message("validationTimeout must be longer than 0s").field_path(".validationTimeout"),
)]
pub struct Limits {
    /// Number of steps (actions of any kind). Default 15.
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<i32>,
    /// Wall clock of the whole episode from its first possible step, thinking included, such as `12h`. Time during
    /// which nothing of the episode runs (after an interruption) does not count. Default `12h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Duration>,
    /// Time limit of one `execute_code`, such as `30m`. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_timeout: Option<Duration>,
    /// Time limit of one `validate_code`, such as `2m`. Default: `actionTimeout`, at most `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_timeout: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_mean_what_kubernetes_means() {
        for (text, milli) in [
            ("500m", 500),
            ("4", 4_000),
            ("0.5", 500),
            ("1.0001", 1_001),
            ("2Gi", 2 * 1024 * 1024 * 1024 * 1_000),
            ("1.5Ki", 1_536_000),
            ("1k", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
        ] {
            assert_eq!(Quantity(text.into()).milli(), Some(milli), "{text}");
        }
        for text in ["", "Gi", "1 Gi", "1g", "-1", "1e3", "1.", ".5.5", "1.5.5"] {
            let milli = Quantity(text.into()).milli();
            assert!(milli.is_none() || text == "1.", "{text}: {milli:?}");
        }
        assert_eq!(Quantity("999999999999999Ei".into()).bytes(), None);
        assert_eq!(Quantity("1m".into()).bytes(), Some(1));
    }

    #[test]
    fn a_quantity_may_be_written_as_a_number() {
        let cores: Quantity = serde_json::from_str("4").unwrap();
        assert_eq!(cores, Quantity("4".into()));
        assert!(serde_json::from_str::<Quantity>("0.5").is_err());
    }

    #[test]
    fn durations_are_read_and_kept_as_they_were_written() {
        for (text, millis) in [
            ("30s", 30_000),
            ("90m", 5_400_000),
            ("1h30m", 5_400_000),
            ("12h", 43_200_000),
            ("1m500ms", 60_500),
            ("0s", 0),
            ("99999h", 359_996_400_000),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(
                (duration.millis(), duration.to_string()),
                (millis, text.to_owned())
            );
            assert_eq!(serde_json::to_value(&duration).unwrap(), serde_json::json!(text));
        }
        for text in [
            "",
            "30",
            "s",
            "1d",
            "-5s",
            "1.5h",
            "30s1h",
            "5s5s",
            "1 h",
            "9999999999s",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
